"""The way out of a sandbox, tried by clients in a sandbox against servers on this machine."""

from __future__ import annotations

import base64
import gc
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_dora.runtime import egress as egress_module
from pytest_dora.runtime.egress import Egress, Ledger
from pytest_dora.runtime.outbound import is_private, parse_target, upstream_proxy
from pytest_dora.runtime.sandbox.box import Sandbox
from pytest_dora.runtime.sandbox.select import self_test
from pytest_dora.runtime.sandbox.spec import Completed, SandboxSpec, Tier

PATH = "/usr/local/bin:/usr/bin:/bin"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npacket"
PROXY = 3128


@pytest.fixture(autouse=True)
def _no_proxy_of_this_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


class Server:
    """A server on this machine's loopback that remembers what it was sent, byte for byte."""

    def __init__(self, answer: Callable[[bytes], bytes], tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[bytes] = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                sock: socket.socket = self.request
                sock.settimeout(5)
                number = len(outer.seen)
                outer.seen.append(b"")
                try:
                    if tls is not None:
                        sock = tls.wrap_socket(sock, server_side=True)
                    while data := sock.recv(65536):
                        outer.seen[number] += data
                        sock.sendall(answer(data))
                except OSError:
                    return
                finally:
                    sock.close()

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Threads(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def wait_for(self, part: bytes) -> bytes:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            found = [one for one in self.seen if part in one]
            if found:
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"{part!r} was never sent: {self.seen}")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(
        answer: Callable[[bytes], bytes] = lambda _: ANSWER, tls: ssl.SSLContext | None = None
    ) -> Server:
        started.append(Server(answer, tls))
        return started[-1]

    yield start
    for server in started:
        server.close()


class Client:
    """A sandbox whose only way out is an egress."""

    def __init__(self, sandbox: Sandbox, ledger: Ledger) -> None:
        self.sandbox = sandbox
        self.ledger = ledger

    def curl(self, *arguments: str) -> Completed:
        proxy = f"http://127.0.0.1:{PROXY}"
        argv = ["curl", "-sS", "--max-time", "15", "--proxytunnel", "-x", proxy, *arguments]
        if not arguments[-1].startswith("https"):
            argv.remove("--proxytunnel")
        return self.sandbox.run(argv, timeout=20)

    def connect(self) -> socket.socket:
        sock = self.sandbox.connect(PROXY)
        sock.settimeout(10)
        return sock

    def ask(self, head: bytes) -> bytes:
        """What the proxy sends back until it closes."""
        with self.connect() as sock:
            sock.sendall(head)
            return sock.makefile("rb").read()


@pytest.fixture
def client_of() -> Iterator[Callable[[Egress], Client]]:
    if not self_test(Tier.BUBBLEWRAP).passed:
        pytest.skip("bubblewrap does not work on this machine")
    opened: list[tuple[Client, Egress]] = []

    def open_it(egress: Egress) -> Client:
        sandbox = Sandbox.open(SandboxSpec(name="client", env={"PATH": PATH}))
        client = Client(sandbox, egress.attach(sandbox.listen(PROXY)))
        opened.append((client, egress))
        return client

    yield open_it
    for client, egress in opened:
        client.sandbox.close()
        egress.close()


Opener = Callable[[Egress], Client]
Serve = Callable[..., Server]


# --- what is allowed ------------------------------------------------------------------------


def test_a_configured_registry_on_this_machine_is_reached(client_of: Opener, serve: Serve) -> None:
    server = serve()
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    done = client.curl(f"http://localhost:{server.port}/left-pad?write=true")
    assert done.output == "packet"
    request = server.wait_for(b"GET /left-pad?write=true HTTP/1.1\r\n")
    assert b"\r\nHost: localhost:%d\r\n" % server.port in request
    assert b"\r\nConnection: close\r\n" in request
    assert b"Proxy-Connection" not in request
    assert client.ledger.allowed == {"localhost"}
    assert client.ledger.refused == []


def test_a_tunnel_carries_tls(client_of: Opener, serve: Serve, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
         "-keyout", str(key), "-out", str(certificate), "-days", "1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = serve(tls=context)
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    assert client.curl("-k", f"https://localhost:{server.port}/").output == "packet"


def test_megabytes_arrive_whole_in_both_directions(client_of: Opener, serve: Serve) -> None:
    server = serve(lambda data: data)
    client = client_of(Egress(configured=[f"127.0.0.1:{server.port}"]))
    sent = os.urandom(3_000_000)
    with client.connect() as sock:
        sock.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % server.port)
        reply = sock.makefile("rb")
        while reply.readline() != b"\r\n":
            pass
        threading.Thread(target=sock.sendall, args=(sent,), daemon=True).start()
        assert reply.read(len(sent)) == sent


def test_what_the_server_sent_last_is_not_lost_when_it_closes(
    client_of: Opener, serve: Serve
) -> None:
    body = b"x" * 2_000_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\nConnection: close\r\n\r\n"
    server = serve(lambda _: head + body)
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    with client.connect() as sock:
        sock.sendall(b"GET http://localhost:%d/ HTTP/1.1\r\n\r\n" % server.port)
        reply = sock.makefile("rb")
        while reply.readline() != b"\r\n":
            pass
        time.sleep(0.3)  # a slow reader: everything is in some buffer by now
        assert reply.read(len(body)) == body


def test_a_client_that_says_it_is_done_still_gets_its_answer(
    client_of: Opener, serve: Serve
) -> None:
    server = serve()
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    with client.connect() as sock:
        sock.sendall(b"CONNECT localhost:%d HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n" % server.port)
        sock.shutdown(socket.SHUT_WR)
        assert sock.makefile("rb").read().endswith(b"packet")


def test_a_body_is_passed_on_as_long_as_it_says(client_of: Opener, serve: Serve) -> None:
    server = serve(lambda data: ANSWER if b"end" in data else b"")
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    body = "x" * 100_000 + "end"
    done = client.curl("-d", body, f"http://localhost:{server.port}/-/audit")
    assert done.output == "packet"
    assert server.wait_for(b"end").endswith(body.encode())


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://example.com/", "https://github.com/a/b.git",
     "http://169.254.169.254/latest/meta-data", "https://[::1]:443/", "http://localhost/"],
)  # fmt: skip
def test_other_hosts_are_refused_and_written_down(client_of: Opener, url: str) -> None:
    client = client_of(Egress())
    done = client.curl("-o", "/dev/null", "-w", "%{http_code}|%{http_connect}", url)
    assert "403" in done.output
    host = url.split("/")[2]
    port = "443" if url.startswith("https") else "80"
    assert client.ledger.refused == [host if host.endswith("443") else f"{host}:{port}"]
    assert not client.ledger.allowed


@pytest.mark.parametrize("port", [22, 25, 5432, 8080, 65535])
def test_a_registry_is_reached_on_no_port_but_those_of_the_web(
    client_of: Opener, port: int
) -> None:
    client = client_of(Egress())
    assert client.ask(b"CONNECT pypi.org:%d HTTP/1.1\r\n\r\n" % port).startswith(b"HTTP/1.1 403")
    assert client.ledger.refused == [f"pypi.org:{port}"]


def test_the_host_of_a_configured_registry_is_not_open_beyond_its_port(
    client_of: Opener, serve: Serve
) -> None:
    registry, database = serve(), serve()
    client = client_of(Egress(configured=[f"127.0.0.1:{registry.port}"]))
    answer = client.ask(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % database.port)
    assert answer.startswith(b"HTTP/1.1 403")
    assert database.seen == []


def test_a_name_that_leads_to_this_machine_is_not_connected_to(
    client_of: Opener, serve: Serve
) -> None:
    server = serve()
    client = client_of(Egress(allow=[f"localhost:{server.port}", f"127.0.0.1:{server.port}"]))
    for host in (b"localhost", b"LOCALHOST.", b"127.0.0.1"):
        answer = client.ask(b"CONNECT %s:%d HTTP/1.1\r\n\r\n" % (host, server.port))
        assert answer.startswith(b"HTTP/1.1 502"), host
    assert server.seen == []


def test_no_other_way_leads_out(client_of: Opener, serve: Serve) -> None:
    server = serve()
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    direct = ["curl", "-sS", "--noproxy", "*", f"http://127.0.0.1:{server.port}/"]
    assert not client.sandbox.run(direct, timeout=10).ok
    assert server.seen == []


def test_the_list_of_refused_hosts_is_capped_and_has_no_host_twice() -> None:
    ledger = Ledger()
    for number in range(1000):
        ledger.refuse(f"host{number % 500}.example:443")
    assert len(ledger.refused) == len(set(ledger.refused)) == 200


# --- smuggling ------------------------------------------------------------------------------


def test_a_second_request_on_the_connection_goes_nowhere(client_of: Opener, serve: Serve) -> None:
    server = serve()
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    first = b"GET http://localhost:%d/first HTTP/1.1\r\nHost: x\r\n\r\n" % server.port
    second = b"GET http://evil.example/second HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    with client.connect() as sock:
        sock.sendall(first + second)
        assert sock.recv(1000)
        sock.sendall(second)
        time.sleep(0.2)
    assert b"/first" in server.wait_for(b"/first")
    assert not any(b"evil" in one or b"second" in one for one in server.seen)


def test_the_host_header_is_ours(client_of: Opener, serve: Serve) -> None:
    server = serve()
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    for header in ("Host: evil.example", "hOsT:evil.example"):
        client.curl("-H", header, f"http://localhost:{server.port}/{len(server.seen)}")
    assert len(server.seen) == 2
    for request in server.seen:
        assert b"evil" not in request
        assert request.lower().count(b"\r\nhost:") == 1


@pytest.mark.parametrize(
    "more",
    [
        b"Content-Length: 5\r\nContent-Length: 50\r\n",
        b"Content-Length: 5, 50\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b" folded: line\r\n",
        b"X: a\nHost: evil.example\r\n",
        b"X: a\rHost: evil.example\r\n",
        b"X: \0\r\n",
        b"no colon\r\n",
        b": no name\r\n",
    ],
)
def test_what_may_be_read_in_two_ways_is_no_request(
    client_of: Opener, serve: Serve, more: bytes
) -> None:
    server = serve()
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    head = b"POST http://localhost:%d/ HTTP/1.1\r\n" % server.port
    assert client.ask(head + more + b"\r\n").startswith(b"HTTP/1.1 400")
    assert server.seen == []


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET / HTTP/1.1",
        b"GET https://pypi.org/ HTTP/1.1",
        b"GET ftp://pypi.org/ HTTP/1.1",
        b"GET http://user:password@pypi.org/ HTTP/1.1",
        b"GET http://pypi.org:99999/ HTTP/1.1",
        b"GET http://pypi.org:0/ HTTP/1.1",
        b"GET http://[::1/ HTTP/1.1",
        b"GET http:///path HTTP/1.1",
        b"GET http://pypi.org/ HTTP/1.1 more",
        b"GET http://pypi.org/a\nb HTTP/1.1",
        b"GET http://pypi.org/ HTTP/1.1\nHost:evil",
        b"GET http://pypi.org/ HTTP/2",
        b"GET http://evil\\@pypi.org/ HTTP/1.1",
        b"get http://pypi.org/ HTTP/1.1",
        b"CONNECT pypi.org HTTP/1.1",
        b"CONNECT pypi.org:0 HTTP/1.1",
        b"CONNECT pypi.org:+443 HTTP/1.1",
        b"CONNECT pypi.org:4_43 HTTP/1.1",
        b"CONNECT pypi.org:99999 HTTP/1.1",
        b"CONNECT :443 HTTP/1.1",
        b"CONNECT evil@pypi.org:443 HTTP/1.1",
        b"CONNECT pypi.org/evil:443 HTTP/1.1",
        b"CONNECT \x1b[31m:443 HTTP/1.1",
        b"CONNECT p\xc3\xbf:443 HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01",
        b"\x05\x01\x00",
    ],
)
def test_what_is_no_request_of_a_proxy_is_none(line: bytes) -> None:
    assert parse_target(line + b"\r\n\r\n") is None


@given(st.binary(max_size=300))
@example(b"GET http://[v1.x]/ HTTP/1.1\r\n\r\n")
@example(b"GET http://\xb2/ HTTP/1.1\r\n\r\n")
def test_any_bytes_are_a_target_or_none(head: bytes) -> None:
    found = parse_target(head)
    assert found is None or (found.host and 0 < found.port < 65536)


@given(
    st.sampled_from([b"pypi.org", b"PyPI.org.", b"pypi.org\t", b"pypi.org,evil.example"]),
    st.lists(st.binary(max_size=40), max_size=5),
)
def test_the_request_that_is_sent_on_has_one_host_and_one_end(
    host: bytes, lines: list[bytes]
) -> None:
    head = b"\r\n".join([b"GET http://" + host + b"/x HTTP/1.1", *lines]) + b"\r\n\r\n"
    found = parse_target(head)
    if found is None:
        return
    sent = found.request(None)
    assert found.host == "pypi.org"
    assert sent.startswith(b"GET /x HTTP/1.1\r\nHost: pypi.org\r\n")
    assert sent.index(b"\r\n\r\n") == len(sent) - 4
    assert b"\n" not in sent.replace(b"\r\n", b"")
    assert b"\r\nhost:" not in sent[25:].lower()


# --- those who never end --------------------------------------------------------------------


def is_cut_off(sock: socket.socket, sent: bytes, pause: float) -> bool:
    """Whether the other end ends the connection while we go on sending."""
    deadline = time.monotonic() + 8
    try:
        while time.monotonic() < deadline:
            sock.sendall(sent)
            time.sleep(pause)
    except OSError:
        return True
    return False


def test_a_head_that_drips_is_cut_off(client_of: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress_module, "_HEAD_SECONDS", 0.4)
    client = client_of(Egress())
    with client.connect() as sock:
        sock.sendall(b"CONNECT pypi.org:443 HTTP/1.1\r\n")
        assert is_cut_off(sock, b"X: y\r\n", 0.02)


def test_a_head_without_end_is_cut_off(client_of: Opener) -> None:
    with client_of(Egress()).connect() as sock:
        assert is_cut_off(sock, b"X: " + b"y" * 10_000 + b"\r\n", 0)


def test_a_sandbox_has_no_more_connections_than_it_may(
    client_of: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress_module, "_CONNECTIONS", 3)
    client = client_of(Egress())
    idle = [client.connect() for _ in range(3)]
    time.sleep(0.1)
    with client.connect() as one_more:
        assert is_cut_off(one_more, b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", 0.02)
    assert client.ledger.refused == []
    idle.pop().close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not client.ledger.refused:
        try:
            client.ask(b"CONNECT example.com:443 HTTP/1.1\r\n\r\n")
        except OSError:
            time.sleep(0.02)
    assert client.ledger.refused == ["example.com:443"]
    for sock in idle:
        sock.close()


def test_a_server_that_is_not_there_is_a_bad_gateway(client_of: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    client = client_of(Egress(configured=[f"localhost:{port}"]))
    assert client.ask(b"CONNECT localhost:%d HTTP/1.1\r\n\r\n" % port).startswith(b"HTTP/1.1 502")


def test_one_client_that_hangs_does_not_hold_up_another(client_of: Opener, serve: Serve) -> None:
    server = serve(lambda _: b"")
    good = serve()
    client = client_of(Egress(configured=[f"localhost:{server.port}", f"localhost:{good.port}"]))
    with client.connect() as hanging:
        hanging.sendall(b"GET http://localhost:%d/ HTTP/1.1\r\n\r\n" % server.port)
        server.wait_for(b"GET")
        assert client.curl(f"http://localhost:{good.port}/").output == "packet"


# --- the end --------------------------------------------------------------------------------


def test_a_closed_ledger_serves_nobody_and_frees_its_socket(serve: Serve) -> None:
    server = serve(lambda _: b"")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        egress = Egress(configured=[f"localhost:{server.port}"])
        ledger = egress.attach(listener.dup())
    with socket.create_connection(address) as open_one:
        open_one.sendall(b"GET http://localhost:%d/ HTTP/1.1\r\n\r\n" % server.port)
        server.wait_for(b"GET")
        ledger.close()
        ledger.close()
        open_one.settimeout(5)
        assert open_one.makefile("rb").read() == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    assert ledger.allowed == {"localhost"}
    egress.close()


def test_closing_leaves_no_thread_no_descriptor_and_no_complaint(serve: Serve) -> None:
    server = serve(lambda _: b"")
    before = len(os.listdir("/proc/self/fd"))
    egress = Egress(configured=[f"localhost:{server.port}"])
    listener = socket.create_server(("127.0.0.1", 0))
    ledger = egress.attach(listener)
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"CONNECT localhost:%d HTTP/1.1\r\n\r\nhello" % server.port)
        server.wait_for(b"hello")
        egress.close()
        egress.close()
    ledger.close()
    del listener
    gc.collect()
    assert not any(thread.name == "dora-egress" for thread in threading.enumerate())
    deadline = time.monotonic() + 5
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < deadline:
        time.sleep(0.02)  # the server notices the end of the connection in its own time
    assert len(os.listdir("/proc/self/fd")) <= before


# --- a proxy between us and the world -------------------------------------------------------


def test_what_is_allowed_goes_through_the_proxy_of_this_network(
    client_of: Opener, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def proxy(data: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\n\r\n" if data.startswith(b"CONNECT") else ANSWER

    upstream = serve(proxy)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{upstream.port}")
    client = client_of(Egress())
    with client.connect() as sock:
        sock.sendall(b"CONNECT pypi.org:443 HTTP/1.1\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        sock.sendall(b"hello")
        assert sock.recv(1000) == ANSWER
    secret = base64.b64encode(b"me:p@ss")
    tunnel = upstream.wait_for(b"CONNECT pypi.org:443 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic " + secret in tunnel

    assert client.curl("http://pypi.org/simple/").output == "packet"
    plain = upstream.wait_for(b"GET http://pypi.org/simple/ HTTP/1.1\r\nHost: pypi.org\r\n")
    assert b"\r\nProxy-Authorization: Basic " + secret in plain

    assert client.ask(b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 403")
    assert not any(b"evil" in one for one in upstream.seen)


def test_a_client_cannot_use_the_proxys_credentials_or_bring_its_own(
    client_of: Opener, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = serve()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{upstream.port}")
    client = client_of(Egress())
    client.curl("-H", "Proxy-Authorization: Basic own", "http://pypi.org/")
    assert b"Basic" not in upstream.wait_for(b"GET")


def test_a_proxy_that_refuses_is_a_bad_gateway(
    client_of: Opener, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = serve(lambda _: b"HTTP/1.1 407 Who are you? 200 \r\n\r\n")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{upstream.port}")
    client = client_of(Egress())
    assert client.ask(b"CONNECT pypi.org:443 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 502")


@pytest.mark.parametrize("left_out", ["localhost", "*", "example.com, .localhost", "*.localhost"])
def test_a_registry_named_in_no_proxy_is_reached_directly(
    client_of: Opener, serve: Serve, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    upstream, server = serve(), serve()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{upstream.port}")
    monkeypatch.setenv("NO_PROXY", left_out)
    client = client_of(Egress(configured=[f"localhost:{server.port}"]))
    assert client.curl(f"http://localhost:{server.port}/").output == "packet"
    assert upstream.seen == []
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("value", "host", "port", "tls"),
    [
        ("http://proxy.corp:3128", "proxy.corp", 3128, False),
        ("proxy.corp:8080", "proxy.corp", 8080, False),
        ("https://proxy.corp", "proxy.corp", 443, True),
        ("http://[::1]:3128/", "::1", 3128, False),
    ],
)
def test_the_proxy_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, host: str, port: int, tls: bool
) -> None:
    monkeypatch.setenv("https_proxy", value)
    found = upstream_proxy()
    assert found is not None
    assert (found.host, found.port, found.tls) == (host, port, tls)


@pytest.mark.parametrize("value", ["", "socks5://proxy.corp:1080", "http://:80", "http://x:port"])
def test_what_is_no_proxy_of_http_is_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert upstream_proxy() is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "100.64.0.1", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.168.1.1", "224.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1",
    ],
)  # fmt: skip
def test_an_address_that_is_no_public_one_is_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "151.101.0.223", "172.32.0.1", "203.0.113.80", "2606:4700::1111"]
)
def test_a_public_address_is_not_private(address: str) -> None:
    assert not is_private(address)

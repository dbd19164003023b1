"""Requests to servers that do what no server should."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.runtime.http import BODY_BYTES, NoAnswer, Response, request

HEAD = b"HTTP/1.1 200 OK\r\n"
Connect = Callable[[], socket.socket]


class Server:
    """Sends what it is given to every client, after their request, and remembers the latter."""

    def __init__(self, answer: Callable[[], Iterable[bytes]], pause: float, reset: bool) -> None:
        self.seen = b""
        self._answer, self._pause, self._reset = answer, pause, reset
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(self._listener.getsockname(), 5)

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                sock.settimeout(5)
                while b"\r\n\r\n" not in self.seen and (data := sock.recv(65536)):
                    self.seen += data
                for part in self._answer():
                    sock.sendall(part)
                    if self._stop.wait(self._pause):
                        return
                if self._reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(6)


Serve = Callable[..., Connect]


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        server.close()


@pytest.fixture
def serve(servers: list[Server]) -> Serve:
    def start(
        *parts: bytes, pause: float = 0, reset: bool = False, endless: bytes = b""
    ) -> Connect:
        more = itertools.repeat(endless) if endless else ()
        servers.append(Server(lambda: itertools.chain(parts, more), pause, reset))
        return servers[-1].connect

    return start


class Clock:
    def __init__(self) -> None:
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started


def test_an_answer_is_read(serve: Serve, servers: list[Server]) -> None:
    connect = serve(
        HEAD + b"Content-Type: Text/HTML; charset=utf-8\r\nX-A: b\r\n\r\n<p>gr\xc3\xbc\xff"
    )
    answer = request(connect, "/page?x=1", method="POST", headers={"X-C": "d"}, body=b"sent")
    assert (answer.status, answer.content_type, answer.headers["x-a"]) == (200, "text/html", "b")
    assert answer.text == "<p>grü�"
    assert answer.complete
    seen = servers[0].seen
    assert seen.startswith(b"POST /page?x=1 HTTP/1.1\r\nHost: localhost\r\n")
    assert b"X-C: d\r\n" in seen
    assert b"Connection: close\r\n" in seen


def test_a_server_that_keeps_the_connection_does_not_hold_us_up(serve: Serve) -> None:
    connect = serve(HEAD + b"Content-Length: 5\r\n\r\nhello", b"more", b"and more", pause=2)
    clock = Clock()
    assert request(connect, "/").body == b"hello"
    assert clock.seconds < 1.5


def test_chunks_are_joined(serve: Serve) -> None:
    connect = serve(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        b"5\r\nhello\r\n",
        b"6;x=y\r\n world\r\n0\r\n\r\n",
    )
    answer = request(connect, "/")
    assert answer.body == b"hello world"


def test_a_redirect_is_an_answer_and_is_not_followed(serve: Serve, servers: list[Server]) -> None:
    connect = serve(b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n")
    answer = request(connect, "/")
    assert (answer.status, answer.headers["location"]) == (302, "http://evil.example/")
    assert servers[0].seen.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]
)
def test_what_an_interim_answer_announces_is_waited_for(serve: Serve, interim: bytes) -> None:
    connect = serve(interim, interim, b"HTTP/1.1 500 Oh\r\n\r\n", pause=0.05)
    assert request(connect, "/").status == 500


def test_head_has_no_body(serve: Serve) -> None:
    connect = serve(HEAD + b"Content-Length: 1000\r\n\r\n")
    assert request(connect, "/", method="HEAD").body == b""


# --- hostile --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "endless"),
    [
        (b"", b"X-Header: value\r\n"),
        (b"", b"x" * 1000),
        (b"", b"\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (b"", b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n"),
        (HEAD, b"X-Header: value\r\n"),
        (HEAD, b"x" * 1000),
        (HEAD + b"X: y\r\n", b" folded\r\n"),
    ],
)
def test_a_head_without_end_is_no_answer(serve: Serve, first: bytes, endless: bytes) -> None:
    clock = Clock()
    with pytest.raises(NoAnswer):
        request(serve(first, endless=endless), "/", timeout=0.8)
    assert clock.seconds < 3


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"\r\n",
        HEAD + b"Content-Length: 999999999999\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
    ],
)
def test_a_body_without_end_is_cut(serve: Serve, head: bytes) -> None:
    clock = Clock()
    answer = request(serve(head, endless=b"y" * 65536), "/", timeout=8)
    assert len(answer.body) == BODY_BYTES
    assert not answer.complete
    assert clock.seconds < 5


@pytest.mark.parametrize(
    ("head", "drip"),
    [(b"", b"H"), (HEAD, b"X"), (HEAD + b"X: ", b"y")],
)
def test_a_head_that_drips_is_no_answer_in_time(serve: Serve, head: bytes, drip: bytes) -> None:
    clock = Clock()
    with pytest.raises(NoAnswer):
        request(serve(head, endless=drip, pause=0.05), "/", timeout=0.5)
    assert clock.seconds < 2


def test_a_body_that_drips_is_an_answer_as_far_as_it_came(serve: Serve) -> None:
    connect = serve(HEAD + b"\r\n", endless=b"data: x\n\n", pause=0.05)
    clock = Clock()
    answer = request(connect, "/events", timeout=0.5)
    assert answer.body.startswith(b"data: x\n\n")
    assert not answer.complete
    assert clock.seconds < 2


def test_silence_is_no_answer(serve: Serve) -> None:
    clock = Clock()
    with pytest.raises(NoAnswer, match="TimeoutError"):
        request(serve(b"", endless=b"", pause=5), "/", timeout=0.3)
    assert clock.seconds < 2


def test_a_server_that_never_reads_is_no_answer() -> None:
    ours, theirs = socket.socketpair()
    clock = Clock()
    with theirs, pytest.raises(NoAnswer):
        request(lambda: ours, "/", method="POST", body=b"x" * 50_000_000, timeout=0.5)
    assert clock.seconds < 3


def test_a_port_that_nobody_listens_on_is_no_answer() -> None:
    def refused() -> socket.socket:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(NoAnswer, match="ConnectionRefusedError"):
        request(refused, "/")


def test_a_reset_is_no_answer_before_the_head_and_an_answer_after(serve: Serve) -> None:
    with pytest.raises(NoAnswer):
        request(serve(b"HTTP/1.1 2", reset=True), "/", timeout=3)
    cut = request(serve(HEAD + b"Content-Length: 9\r\n\r\nhalf", pause=0.2, reset=True), "/")
    assert (cut.status, cut.body, cut.complete) == (200, b"half", False)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 low\r\n\r\n",
        b"HTTP/1.1 1000 high\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"\x16\x03\x01\x00\xa5" + b"\x00" * 200,
        b"\x00" * 100_000,
    ],
)
def test_what_is_not_http_is_no_answer(serve: Serve, garbage: bytes) -> None:
    with pytest.raises(NoAnswer):
        request(serve(garbage), "/", timeout=3)


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b"-1\r\n" + b"x" * 5_000_000,
        b"5\r\nhel",
        b"\r\n" * 1000,
        b"99999999999999999999999999\r\nx",
        b"1\r\nx\r\n" * 50_000,
        b"5" * 100_000,
        b"1" + b";" * 60_000 + b"\r\nx\r\n",
    ],
)
def test_chunks_that_are_none_end_the_body(serve: Serve, chunks: bytes) -> None:
    clock = Clock()
    connect = serve(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    answer = request(connect, "/", timeout=4)
    assert answer.status == 200
    assert len(answer.body) <= BODY_BYTES
    assert not answer.complete
    assert clock.seconds < 6


@pytest.mark.parametrize(
    "length", [b"-1", b"-99999999", b"abc", b"5, 5", b"1e9", b"99999999999999999999999999999"]
)
def test_a_length_that_is_none_is_overlooked(serve: Serve, length: bytes) -> None:
    answer = request(serve(HEAD + b"Content-Length: " + length + b"\r\n\r\nhello"), "/", timeout=3)
    assert (answer.status, answer.body) == (200, b"hello")


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/\0", "/grün", "/\ud800"])
def test_a_path_that_no_request_can_hold_is_no_answer(
    serve: Serve, servers: list[Server], path: str
) -> None:
    with pytest.raises(NoAnswer):
        request(serve(HEAD + b"\r\n"), path, timeout=2)
    assert b"X: y" not in servers[0].seen


def test_no_descriptor_stays_open(serve: Serve) -> None:
    connects = [serve(HEAD + b"\r\nbody"), serve(b"garbage\r\n"), serve(HEAD, reset=True)]
    before = len(os.listdir("/proc/self/fd"))
    for connect in connects:
        for _ in range(3):
            with contextlib.suppress(NoAnswer):
                request(connect, "/", timeout=2)
    time.sleep(0.1)  # the servers close their ends in their own time
    assert len(os.listdir("/proc/self/fd")) <= before


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"HTTP/1.1 ", HEAD, HEAD + b"Transfer-Encoding: chunked\r\n"]),
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [
                    b"\r\n",
                    b"\n",
                    b":",
                    b"Content-Length: ",
                    b"5",
                    b"-1",
                    b"\0",
                    b"\xff",
                    b"HTTP/1.1 ",
                ]
            ),
            max_size=30,
        ).map(b"".join),
    ),
)
def test_any_bytes_are_an_answer_or_none(first: bytes, rest: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(first + rest)
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(NoAnswer):
            answer = request(lambda: ours, "/", timeout=2)
            assert isinstance(answer, Response)
            assert 100 <= answer.status < 1000

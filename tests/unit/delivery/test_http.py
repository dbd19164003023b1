"""Asking services of ours on the loopback: patience, limits, and a token that stays where it is."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.delivery import http
from pytest_dora.delivery.collectors.base import CollectError
from pytest_dora.delivery.http import AnswerError, Api

TOKEN = "ghp_secret0123456789"


@dataclass
class Said:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class Service:
    """Answers in turn with what it was given, the last one for ever."""

    url: str
    answers: list[Said] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def says(self, *answers: Said) -> None:
        self.answers = list(answers)

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _, _ in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        service: Service = self.server.service
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        service.asked.append((self.command, self.path, headers, body))
        said = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
        self.send_response(said.status)
        length = len(said.body) + (100 if said.cut else 0)
        for name, value in {"Content-Length": str(length), **said.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.body)
        self.close_connection = self.close_connection or said.cut

    do_POST = do_GET  # noqa: N815 - the names are the base class's

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[Service]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.service = Service(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as one:
        yield one


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def api(service: Service, waits: list[float]) -> Iterator[Callable[..., Api]]:
    with ExitStack() as stack:

        def make(path: str = "", **options: object) -> Api:
            options.setdefault("headers", {"Authorization": f"Bearer {TOKEN}"})
            made = Api(
                service.url + path, name="shop", secret="SHOP_TOKEN", wait=waits.append, **options
            )
            return stack.enter_context(made)

        yield make


def error_of(ask: Callable[[], object]) -> str:
    with pytest.raises(CollectError) as caught:
        ask()
    assert TOKEN not in str(caught.value)
    return str(caught.value)


# --- answers --------------------------------------------------------------------------------


def test_json_is_read_with_its_headers_and_links(service: Service, api: Callable[..., Api]) -> None:
    service.says(Said(body=b'{"a": [1]}', headers={"ETag": "x", "Link": '</b?page=2>; rel="next"'}))
    answer = api("/base").get("things", {"per_page": 100})
    assert (answer.status, answer.body, answer.headers["etag"]) == (200, {"a": [1]}, "x")
    assert answer.links == {"next": f"{service.url}/b?page=2"}
    method, path, headers, _ = service.asked[0]
    assert (method, path) == ("GET", "/base/things?per_page=100")
    assert headers["authorization"] == f"Bearer {TOKEN}"


def test_nothing_is_none(service: Service, api: Callable[..., Api]) -> None:
    service.says(Said(status=204, body=b""))
    assert api().get("x").body is None
    service.says(Said(status=304, body=b""))
    assert api().get("x", headers={"If-None-Match": "y"}).status == 304


def test_json_and_forms_are_sent(service: Service, api: Callable[..., Api]) -> None:
    service.says(Said())
    api().post("x", {"query": "q"})
    api().post("x", form={"grant_type": "client_credentials"})
    assert [(one[0], one[3]) for one in service.asked] == [
        ("POST", b'{"query":"q"}'),
        ("POST", b"grant_type=client_credentials"),
    ]


@pytest.mark.parametrize("body", [b"<html>", b"{", b"\xff\xfe\xfa", b"[" * 100_000, b"9" * 5000])
def test_what_is_no_json_is_refused(service: Service, api: Callable[..., Api], body: bytes) -> None:
    service.says(Said(body=body))
    assert "127.0.0.1/x answered something that is no JSON" in error_of(lambda: api().get("x"))


def test_a_refusal_names_the_variable_of_the_token(
    service: Service, api: Callable[..., Api], waits: list[float]
) -> None:
    for status in (401, 403):
        service.says(Said(status=status))
        message = error_of(lambda: api().get("x"))
        assert message == (
            f"shop: 127.0.0.1/x refuses ({status}); is SHOP_TOKEN set, and may it read this?"
        )
    assert waits == []


def test_another_status_is_told_with_what_was_said(
    service: Service, api: Callable[..., Api]
) -> None:
    service.says(Said(status=404, body=b"no\x1b[31m such \n thing"))
    with pytest.raises(
        AnswerError, match=r"shop: 127.0.0.1/x answered 404: no\[31m such thing$"
    ) as e:
        api().get("x", {"secret": "in-the-query"})
    assert e.value.status == 404


def test_an_answer_has_a_largest_size(service: Service, api: Callable[..., Api]) -> None:
    service.says(Said(body=b'"' + b"x" * 5000 + b'"'))
    assert "answers more than 5000 bytes" in error_of(lambda: api(most_bytes=5000).get("x"))
    assert len(api(most_bytes=5002).get("x").body) == 5000


def test_a_small_answer_that_unpacks_to_a_large_one_is_refused(
    service: Service, api: Callable[..., Api]
) -> None:
    bomb = gzip.compress(b'"' + b"x" * 10_000_000 + b'"')
    assert len(bomb) < 20_000
    service.says(Said(body=bomb, headers={"Content-Encoding": "gzip"}))
    assert "answers more than" in error_of(lambda: api(most_bytes=1_000_000).get("x"))


def test_an_answer_that_cannot_be_unpacked_is_told(
    service: Service, api: Callable[..., Api]
) -> None:
    service.says(Said(body=b"not gzip", headers={"Content-Encoding": "gzip"}))
    assert "cannot be read (DecodingError" in error_of(lambda: api().get("x"))


def test_an_answer_that_takes_too_long_is_ended(
    service: Service, api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_LONGEST_ANSWER", -1.0)
    service.says(Said())
    assert "to answer" in error_of(lambda: api().get("x"))


# --- patience -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_passing_trouble_is_tried_again_with_growing_pauses(
    service: Service, api: Callable[..., Api], waits: list[float], status: int
) -> None:
    service.says(*[Said(status=status)] * 3, Said(body=b"1"))
    assert api().get("x").body == 1
    assert waits == [1, 2, 4]


def test_a_cut_connection_is_tried_again(
    service: Service, api: Callable[..., Api], waits: list[float]
) -> None:
    service.says(Said(cut=True), Said(cut=True), Said(body=b"1"))
    assert api().get("x").body == 1
    assert waits == [1, 2]


def test_patience_ends(service: Service, api: Callable[..., Api], waits: list[float]) -> None:
    service.says(Said(cut=True))
    assert "cannot be reached (RemoteProtocolError" in error_of(lambda: api().get("x"))
    service.says(Said(status=503))
    assert error_of(lambda: api().get("x")) == "shop: 127.0.0.1/x answered 503"
    assert len(service.asked) == 10
    assert waits == [1, 2, 4, 8] * 2


def test_nobody_there_is_told(waits: list[float]) -> None:
    with running() as gone:
        pass
    with Api(gone.url, name="shop", wait=waits.append) as api:
        assert "cannot be reached (ConnectError" in error_of(lambda: api.get("x"))


def test_a_pause_in_seconds_is_kept(
    service: Service, api: Callable[..., Api], waits: list[float]
) -> None:
    service.says(
        Said(status=429, headers={"Retry-After": "7"}),
        Said(status=503, headers={"Retry-After": "0"}),
        Said(body=b"1"),
    )
    assert api().get("x").body == 1
    assert waits == [7, 0]


def test_a_pause_until_a_date_is_kept(
    service: Service, api: Callable[..., Api], waits: list[float]
) -> None:
    now = datetime.now(UTC)
    service.says(
        Said(status=429, headers={"Retry-After": format_datetime(now + timedelta(seconds=90))}),
        Said(status=429, headers={"Retry-After": format_datetime(now - timedelta(days=1))}),
        Said(status=429, headers={"Retry-After": "soon"}),
        Said(body=b"1"),
    )
    assert api().get("x").body == 1
    assert 60 < waits[0] <= 90
    assert waits[1:] == [0, 4]


def test_a_used_up_limit_is_waited_for(
    service: Service, api: Callable[..., Api], waits: list[float]
) -> None:
    used = {"x-ratelimit-remaining": "0"}
    service.says(
        Said(status=403, headers={**used, "x-ratelimit-reset": str(int(time.time()) + 50)}),
        Said(status=429, headers={**used, "x-ratelimit-reset": "12"}),
        Said(status=403, body=b'{"message": "You have exceeded a secondary rate limit."}'),
        Said(body=b"1"),
    )
    assert api().get("x").body == 1
    assert 30 < waits[0] <= 50
    assert waits[1:] == [12, 60]


def test_a_pause_that_is_too_long_says_when_to_come_again(
    service: Service, api: Callable[..., Api], waits: list[float]
) -> None:
    service.says(Said(status=429, headers={"Retry-After": "901"}))
    assert error_of(lambda: api().get("x")).endswith("/x answered 429; come again in 901 s")
    assert waits == []
    service.says(Said(status=429, headers={"Retry-After": "20"}))
    assert "come again in 20 s" in error_of(lambda: api(longest_wait=10).get("x"))


@given(
    after=st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"])),
    reset=st.text("0123456789abc-. ²", max_size=400),
)
def test_no_header_breaks_the_patience(after: str, reset: str) -> None:
    headers = httpx2.Headers(
        [
            (b"retry-after", after.encode("latin-1")),
            (b"x-ratelimit-reset", reset.encode("latin-1")),
            (b"x-ratelimit-remaining", b"0"),
        ]
    )
    asked = http._asked_wait(http._Reply(429, b"", headers, {}))
    assert asked is None or asked >= 0


# --- pages and redirects --------------------------------------------------------------------


def test_pages_are_followed(service: Service, api: Callable[..., Api]) -> None:
    service.says(
        Said(body=b"1", headers={"Link": '<?page=2>; rel="next", <?page=3>; rel="last"'}),
        Said(body=b"2", headers={"Link": f'<{service.url}/x?page=3>; rel="next"'}),
        Said(body=b"3", headers={"Link": '<?page=1>; rel="first"'}),
    )
    assert [one.body for one in api("/x").pages("", {"size": 2})] == [1, 2, 3]
    assert service.paths == ["/x/?size=2", "/x/?page=2", "/x?page=3"]


def test_pages_in_a_circle_end(service: Service, api: Callable[..., Api]) -> None:
    service.says(Said(headers={"Link": '</x?page=2>; rel="next"'}))
    assert "in a circle" in error_of(lambda: list(api().pages("x")))
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    "address",
    [
        "{other}/x",
        "//evil.example/x",
        "https://evil.example/x",
        "http://127.0.0.1/x",
        "http://user@127.0.0.1:{port}/x",
        "http://[::bad/x",
        "file:///etc/passwd",
    ],
)
def test_no_page_and_no_redirect_leads_to_another_host(
    service: Service, api: Callable[..., Api], address: str
) -> None:
    with running() as other:
        other.says(Said())
        elsewhere = address.format(other=other.url, port=service.url.rsplit(":", 1)[1])
        service.says(Said(headers={"Link": f'<{elsewhere}>; rel="next"'}))
        message = error_of(lambda: list(api().pages("x")))
        assert "is another host" in message or "names an address that is none" in message
        service.says(Said(status=302, headers={"Location": elsewhere}))
        message = error_of(lambda: api().get("x"))
        assert "is another host" in message or "names an address that is none" in message
        assert len(service.asked) == 2
        assert other.asked == []


def test_a_redirect_on_the_same_host_is_followed(service: Service, api: Callable[..., Api]) -> None:
    service.says(
        Said(status=301, headers={"Location": "/repositories/1/x?page=1"}), Said(body=b"1")
    )
    assert api("/repos").get("x", {"page": 1}).body == 1
    assert service.paths == ["/repos/x?page=1", "/repositories/1/x?page=1"]


def test_redirects_end(service: Service, api: Callable[..., Api]) -> None:
    service.says(Said(status=302, headers={"Location": "/x"}))
    assert "redirects more than 3 times" in error_of(lambda: api().get("x"))


def test_what_is_posted_is_sent_nowhere_else(service: Service, api: Callable[..., Api]) -> None:
    service.says(Said(status=307, headers={"Location": "/y"}))
    assert "answered 307" in error_of(lambda: api().post("x", {}))


# --- the token ------------------------------------------------------------------------------


def test_a_service_that_repeats_the_token_does_not_make_it_known(
    service: Service, api: Callable[..., Api]
) -> None:
    service.says(Said(status=400, body=json.dumps({"you sent": f"Bearer {TOKEN}"}).encode()))
    assert "***" in error_of(lambda: api().get("x"))
    service.says(Said(status=400, body=b"x" * 190 + TOKEN.encode()))
    assert "ghp" not in error_of(lambda: api().get("x"))
    service.says(Said(status=400, body=b"key-987654"))
    assert "987654" not in error_of(lambda: api().get("x", headers={"DD-API-KEY": "key-987654"}))


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}\r\nX: y", f"{TOKEN}\x00", f"{TOKEN}é"])
def test_a_token_that_no_header_may_have_is_refused_untold(token: str) -> None:
    message = error_of(
        lambda: Api(
            "https://shop.example", name="shop", headers={"Authorization": token}, secret="T_KEY"
        )
    )
    assert "T_KEY contains characters that no header may have" in message


def test_a_token_is_not_shown_on_the_way() -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    message = error_of(lambda: Api("http://shop.example/api", name="shop", headers=headers))
    assert message.startswith("shop: shop.example is not asked over https")
    with Api("http://shop.example", name="shop", headers={"Accept": "text/plain"}) as api:
        assert "over https" in error_of(lambda: api.get("x", headers=headers))


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_a_token_may_go_to_this_machine(base: str) -> None:
    with Api(base, name="shop", headers={"Authorization": TOKEN}):
        pass


def test_no_proxy_is_shown_what_is_meant_for_this_machine(
    service: Service, api: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as proxy:
        proxy.says(Said())
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        service.says(Said(body=b"1"))
        assert api().get("x").body == 1
        assert proxy.asked == []


@pytest.mark.parametrize(
    "base", ["", "shop.example", "ftp://shop.example", "https://", "https://["]
)
def test_an_address_that_is_none_is_refused(base: str) -> None:
    assert "is no http(s) address" in error_of(lambda: Api(base, name="shop"))


def test_an_address_with_a_password_is_refused_untold() -> None:
    message = error_of(lambda: Api(f"https://ada:{TOKEN}@shop.example", name="shop"))
    assert message == "shop: the address of shop.example contains a user or a password"

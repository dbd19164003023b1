"""Reading JSON from one service: retried when that helps, never from another host, no secrets told.

Waits only as long as a service asks for and a collection can afford; else the caller learns when
to come again.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx2

from pytest_dora.delivery.collectors.base import CollectError

_ATTEMPTS = 5
_LONGEST_WAIT = 900.0
_TIMEOUT = 30.0
_LONGEST_ANSWER = 300.0
_MOST_BYTES = 64 * 2**20
_MOST_REDIRECTS = 3
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 307, 308})
_UNNAMED_LIMIT_WAIT = 60.0
_PUBLIC_HEADERS = frozenset(
    {"accept", "accept-language", "content-type", "user-agent", "x-github-api-version"}
)
_SCHEMES = frozenset({"bearer", "basic", "token", "flyv1", "geniekey"})
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


class AnswerError(CollectError):
    """The service answered, but not with what was asked for; ``status`` is that of its answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """A 2xx (or 304) answer; ``body`` is its JSON, None when it is empty."""

    status: int
    body: Any
    headers: Mapping[str, str]
    links: Mapping[str, str]
    """Relation to absolute address, of the ``Link`` header."""


@dataclass(frozen=True)
class _Reply:
    status: int
    content: bytes
    headers: httpx2.Headers
    links: Mapping[str, str]


class Api:
    """A service below one address. Use as a context manager.

    ``secret`` names the environment variable that the caller took a token from, for messages;
    ``most_bytes`` bounds one answer. Nothing is ever sent to another origin than that of
    ``base_url``: links and redirects that lead elsewhere are refused. Raises CollectError from
    every call that gets no usable answer, AnswerError where the service gave one.
    """

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        headers: Mapping[str, str] | None = None,
        secret: str | None = None,
        wait: Callable[[float], None] = time.sleep,
        longest_wait: float = _LONGEST_WAIT,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._base = base_url.rstrip("/") + "/"
        self._name = name
        self._secret = secret
        self._wait = wait
        self._longest_wait = longest_wait
        self._most_bytes = most_bytes
        self._hidden: set[str] = set()
        self._check_base()
        loopback = _is_loopback(self._base)
        self._client = httpx2.Client(
            headers={
                "User-Agent": "pytest-dora",
                "Accept": "application/json",
                **self._checked(headers),
            },
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=not loopback,  # a proxy would be shown what is meant for this machine
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for a path below the base address, or for an address that a former answer gave."""
        return self._ask("GET", path, params=params, headers=self._checked(headers))

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        form: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send JSON (or a form) and read JSON; only for calls that change nothing."""
        content = {"data": form} if form is not None else {"json": body}
        return self._ask("POST", path, headers=self._checked(headers), **content)

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Answer]:
        """The answers along ``Link: rel="next"``, never to another host and never in a circle."""
        answer = self.get(path, params)
        yield answer
        seen = set[str]()
        while "next" in answer.links:
            address = answer.links["next"]
            if address in seen:
                raise self._error(self._address(address), "links its pages in a circle")
            seen.add(address)
            answer = self.get(address)
            yield answer

    def _ask(self, method: str, path: str, **content: Any) -> Answer:
        url = self._address(path)
        for _ in range(_MOST_REDIRECTS + 1):
            reply = self._reply(method, url, content)
            if method != "GET" or reply.status not in _REDIRECTS:
                return self._answer(url, reply)
            url = self._address(_joined(url, reply.headers.get("location", "")))
            content = {**content, "params": None}  # the new address has its own
        raise self._error(url, f"redirects more than {_MOST_REDIRECTS} times")

    def _reply(self, method: str, url: str, content: Mapping[str, Any]) -> _Reply:
        """The answer that is no passing trouble. Waits as the service asks, else ever longer."""
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            try:
                reply = self._send(method, url, content)
            except httpx2.TransportError as error:
                if last:
                    raise self._error(url, f"cannot be reached ({_named(error)})") from None
                self._wait(_backoff(attempt))
                continue
            except (httpx2.RequestError, httpx2.InvalidURL) as error:
                raise self._error(url, f"cannot be read ({_named(error)})") from None
            if not _is_limited(reply):
                return reply
            asked = _asked_wait(reply)
            if last or (asked is not None and asked > self._longest_wait):
                when = f"; come again in {asked:.0f} s" if asked is not None else ""
                raise self._error(url, f"answered {reply.status}{when}", reply.status)
            self._wait(_backoff(attempt) if asked is None else asked)
        raise AssertionError("the last attempt answers or raises")

    def _send(self, method: str, url: str, content: Mapping[str, Any]) -> _Reply:
        began = time.monotonic()
        with self._client.stream(method, url, **content) as response:
            read = bytearray()
            for piece in response.iter_bytes():
                read += piece
                if len(read) > self._most_bytes:
                    raise self._error(url, f"answers more than {self._most_bytes} bytes")
                if time.monotonic() - began > _LONGEST_ANSWER:
                    raise self._error(url, f"took more than {_LONGEST_ANSWER:.0f} s to answer")
            links = {
                str(name): str(link["url"])
                for name, link in response.links.items()
                if link.get("url")
            }
            return _Reply(response.status_code, bytes(read), response.headers, links)

    def _check_base(self) -> None:
        try:
            parts = urlsplit(self._base)
            known = parts.scheme in ("http", "https") and bool(parts.hostname)
            _origin(self._base)
        except ValueError:
            known, parts = False, urlsplit("")
        if not known:
            raise CollectError(f"{self._name}: its address is no http(s) address")
        if parts.username is not None or parts.password is not None:
            raise CollectError(
                f"{self._name}: the address of {parts.hostname} contains a user or a password"
            )

    def _checked(self, headers: Mapping[str, str] | None) -> Mapping[str, str]:
        """The same headers; what is secret in them is remembered, so that no message tells it."""
        for name, value in (headers or {}).items():
            if name.lower() in _PUBLIC_HEADERS:
                continue
            if not _HEADER_VALUE.fullmatch(value):
                raise CollectError(
                    f"{self._name}: {self._secret or f'the header {name}'} contains characters "
                    "that no header may have (a line break at its end?)"
                )
            if urlsplit(self._base).scheme != "https" and not _is_loopback(self._base):
                host = urlsplit(self._base).hostname
                raise CollectError(
                    f"{self._name}: {host} is not asked over https, and the token would be shown "
                    "to all"
                )
            self._hidden.update(
                part
                for part in (value, *re.split(r"[\s,]+", value))
                if len(part) > 3 and part.lower() not in _SCHEMES
            )
        return headers or {}

    def _address(self, path: str) -> str:
        try:
            url = urljoin(self._base, path)
            same = _origin(url) == _origin(self._base) and "@" not in urlsplit(url).netloc
        except ValueError:
            raise self._error(self._base, "names an address that is none") from None
        if not same:
            raise self._error(url, "is another host: refused, for it would be sent the token")
        return url

    def _answer(self, url: str, reply: _Reply) -> Answer:
        status = reply.status
        if status in (401, 403):
            lacks = f"; is {self._secret} set, and may it read this?" if self._secret else ""
            raise self._error(url, f"refuses ({status}){lacks}", status)
        if status != 304 and not 200 <= status < 300:
            raise self._error(url, f"answered {status}: {self._said(reply)}", status)
        try:
            body = json.loads(reply.content) if reply.content else None
        except (ValueError, RecursionError):
            raise self._error(url, "answered something that is no JSON", status) from None
        links = {name: _joined(url, link) for name, link in reply.links.items()}
        return Answer(status, body, dict(reply.headers.items()), links)

    def _error(self, url: str, what: str, status: int | None = None) -> CollectError:
        parts = urlsplit(url)  # without the query: some services take secrets there
        message = self._told(f"{self._name}: {parts.hostname}{parts.path} {what}")
        return CollectError(message) if status is None else AnswerError(message, status)

    def _said(self, reply: _Reply) -> str:
        # what is secret goes before the end is cut off, for half a token is one too
        text = self._told(" ".join(reply.content[:4000].decode("utf-8", "replace").split()))
        return text[:200] or "nothing"

    def _told(self, text: str) -> str:
        """What may be shown of a text."""
        for hidden in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(hidden, "***")
        return "".join(one for one in text if one.isprintable())


def _joined(url: str, reference: str) -> str:
    try:
        return urljoin(url, reference)
    except ValueError:
        return reference  # no address; refused when it is asked for


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_limited(reply: _Reply) -> bool:
    """Whether the same request may be answered later."""
    if reply.status in _RETRIED:
        return True
    exhausted = reply.headers.get("x-ratelimit-remaining") == "0"
    return reply.status == 403 and (
        exhausted or "retry-after" in reply.headers or _says_limit(reply)
    )


def _says_limit(reply: _Reply) -> bool:
    """GitHub's secondary limit, which may come without a header that says so."""
    return b"secondary rate limit" in reply.content[:2000].lower()


def _asked_wait(reply: _Reply) -> float | None:
    """Seconds that the service asks us to wait, if it does."""
    after = reply.headers.get("retry-after", "").strip()
    if after.isdecimal():
        return float(after)
    moment: datetime | None = None
    if after:
        try:
            moment = parsedate_to_datetime(after)
        except (ValueError, TypeError, OverflowError):
            moment = None
    reset = reply.headers.get("x-ratelimit-reset", "").strip()
    exhausted = reply.headers.get("x-ratelimit-remaining") == "0"
    if moment is None and reset.isdecimal() and exhausted:
        # GitHub says when (epoch seconds), Datadog in how long
        number = float(reset)
        return max(0.0, number - time.time()) if number > 1e9 else number
    if moment is None:
        return _UNNAMED_LIMIT_WAIT if reply.status == 403 and _says_limit(reply) else None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def _backoff(attempt: int) -> float:
    return float(min(2 ** (attempt - 1), 30))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

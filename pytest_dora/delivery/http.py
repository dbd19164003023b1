"""Reading JSON from one service: retried when that helps, never from another host, no secrets told.

Waits only as long as a service asks for and a collection can afford; else the caller learns when
to come again.
"""

from __future__ import annotations

import ipaddress
import json
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
_MOST_BYTES = 64 * 2**20
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Answer:
    """A 2xx (or 304) answer; ``body`` is its JSON, None when it is empty."""

    status: int
    body: Any
    headers: Mapping[str, str]
    links: Mapping[str, str]
    """Relation to absolute address, of the ``Link`` header."""


class Api:
    """A service below one address. Use as a context manager.

    ``secret`` names the environment variable that the caller took a token from, for messages.
    Raises CollectError from every call that gets no usable answer.
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
    ) -> None:
        self._base = base_url.rstrip("/") + "/"
        self._name = name
        self._secret = secret
        self._wait = wait
        self._longest_wait = longest_wait
        if headers and urlsplit(self._base).scheme != "https" and not _is_loopback(self._base):
            raise CollectError(f"{name}: {base_url} is not https, and would show the token to all")
        self._client = httpx2.Client(
            headers={"User-Agent": "pytest-dora", "Accept": "application/json", **(headers or {})},
            timeout=_TIMEOUT,
            follow_redirects=False,
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
        return self._ask("GET", path, params=params, headers=headers)

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
        return self._ask("POST", path, headers=headers, **content)

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Answer]:
        """The answers along ``Link: rel="next"``, never to another host."""
        answer = self.get(path, params)
        yield answer
        while "next" in answer.links:
            answer = self.get(answer.links["next"])
            yield answer

    def _ask(self, method: str, path: str, **content: Any) -> Answer:
        url = self._address(path)
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            try:
                response = self._send(method, url, content)
            except httpx2.TransportError as error:
                if last:
                    raise self._error(url, f"cannot be reached ({error})") from error
                self._wait(_backoff(attempt))
                continue
            if not _is_limited(response):
                return self._answer(url, response)
            asked = _asked_wait(response)
            if last or (asked is not None and asked > self._longest_wait):
                when = f"; come again in {asked:.0f} s" if asked is not None else ""
                raise self._error(url, f"answered {response.status_code}{when}")
            self._wait(_backoff(attempt) if asked is None else asked)
        raise AssertionError("the last attempt answers or raises")

    def _send(self, method: str, url: str, content: Mapping[str, Any]) -> httpx2.Response:
        with self._client.stream(method, url, **content) as response:
            read = bytearray()
            for piece in response.iter_bytes():
                read += piece
                if len(read) > _MOST_BYTES:
                    raise self._error(url, f"answers more than {_MOST_BYTES >> 20} MiB")
            response._content = bytes(read)  # noqa: SLF001 - so that its text and links are known
        return response

    def _address(self, path: str) -> str:
        url = urljoin(self._base, path)
        if _origin(url) != _origin(self._base):
            raise self._error(url, "is another host: refused, for it would be sent the token")
        return url

    def _answer(self, url: str, response: httpx2.Response) -> Answer:
        status = response.status_code
        if status in (401, 403):
            lacks = f"; is {self._secret} set, and may it read this?" if self._secret else ""
            raise self._error(url, f"refuses ({status}){lacks}")
        if status != 304 and not 200 <= status < 300:
            raise self._error(url, f"answered {status}: {_said(response)}")
        try:
            body = json.loads(response.content) if response.content else None
        except (ValueError, RecursionError) as error:
            raise self._error(url, "answered something that is no JSON") from error
        links = {str(name): str(link["url"]) for name, link in response.links.items()}
        return Answer(status, body, dict(response.headers.items()), links)

    def _error(self, url: str, what: str) -> CollectError:
        parts = urlsplit(url)  # without the query: some services take secrets there
        return CollectError(f"{self._name}: {parts.hostname}{parts.path} {what}")


def _is_limited(response: httpx2.Response) -> bool:
    """Whether the same request may be answered later."""
    if response.status_code in _RETRIED:
        return True
    exhausted = response.headers.get("x-ratelimit-remaining") == "0"
    return response.status_code == 403 and (exhausted or "retry-after" in response.headers)


def _asked_wait(response: httpx2.Response) -> float | None:
    """Seconds that the service asks us to wait, if it does."""
    after = response.headers.get("retry-after", "")
    if after.strip().isdigit():
        return float(after)
    moment: datetime | None = None
    if after:
        try:
            moment = parsedate_to_datetime(after)
        except ValueError:
            moment = None
    reset = response.headers.get("x-ratelimit-reset", "")
    if moment is None and reset.isdigit() and response.headers.get("x-ratelimit-remaining") == "0":
        # GitHub says when (epoch seconds), Datadog in how long
        number = float(reset)
        return max(0.0, number - time.time()) if number > 1e9 else number
    if moment is None:
        return None
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


def _said(response: httpx2.Response) -> str:
    text = " ".join(response.content[:600].decode("utf-8", "replace").split())
    return text[:200] or "nothing"

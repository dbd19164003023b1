"""Requests to an app in its sandbox: bounded, never following anything out of it."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

BODY_BYTES = 1 << 20
_RECEIVED_BYTES = 8 * BODY_BYTES
"""Everything together: heads, interim answers, and the sizes between the chunks of a body."""


class NoAnswer(Exception):
    """The app accepted no connection, or sent nothing that is HTTP, in time."""


@dataclass(frozen=True)
class Response:
    """A response, its body cut at 1 MiB."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = True
    """False when the body was cut: by us, by its sender, or because it took too long."""

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def request(
    connect: Callable[[], socket.socket],
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    host: str = "localhost",
    timeout: float = 5.0,
) -> Response:
    """One request over a socket of ``connect``; redirects are not followed.

    ``timeout`` bounds the whole exchange, in seconds, however slowly an answer drips. An answer
    that has begun is given as far as it came, so that a stream that never ends is an answer too.
    """
    deadline = time.monotonic() + timeout
    connection = http.client.HTTPConnection(host, timeout=timeout)
    connection.response_class = _FinalResponse
    sock: socket.socket | None = None
    try:
        sock = connect()
        connection.sock = _BoundedSocket(sock, deadline)
        sent = {"Accept": "*/*", "User-Agent": "pytest-dora", "Connection": "close"}
        connection.request(method, path, body=body, headers={**sent, **(headers or {})})
        answer = connection.getresponse()
        received = {name.lower(): value for name, value in answer.getheaders()}
        return Response(answer.status, received, *_read_body(answer))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}"[:300]) from error
    finally:
        if sock is not None:
            sock.close()


def _read_body(answer: http.client.HTTPResponse) -> tuple[bytes, bool]:
    """As much as comes, up to the limit, and whether that was all."""
    parts: list[bytes] = []
    length: int | None = answer.length
    size, wanted = 0, BODY_BYTES if length is None else min(length, BODY_BYTES)
    try:
        while size < wanted:
            part = answer.read1(wanted - size)[: wanted - size]  # a chunk of -1 bytes is any size
            if not part:
                return b"".join(parts), length is None
            parts.append(part)
            size += len(part)
    except (OSError, http.client.HTTPException, ValueError):
        return b"".join(parts), False  # cut off, too slow or no chunk: what came before counts
    return b"".join(parts), size == length


class _FinalResponse(http.client.HTTPResponse):
    """Passes over every interim answer (early hints, processing), not only over 100."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status in (100, 101) or status >= 200:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _BoundedSocket:
    """What http.client uses of a socket, under one deadline and one limit of bytes."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket = sock
        self._deadline = deadline

    def _wait_no_longer(self) -> socket.socket:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        self._socket.settimeout(left)
        return self._socket

    def sendall(self, data: bytes) -> None:
        self._wait_no_longer().sendall(data)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._wait_no_longer))

    def close(self) -> None:
        """http.client closes early and reads on; the socket goes when the request is done."""


class _BoundedReader(io.RawIOBase):
    def __init__(self, ready: Callable[[], socket.socket]) -> None:
        self._ready = ready
        self._left = _RECEIVED_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise OSError("the answer has no end")
        received = self._ready().recv_into(memoryview(buffer)[: self._left])
        self._left -= received
        return received

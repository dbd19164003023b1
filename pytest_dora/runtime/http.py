"""Requests to an app in its sandbox: bounded, never following anything out of it."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

BODY_BYTES = 1 << 20


class NoAnswer(Exception):
    """The app accepted no connection, or sent nothing that is HTTP, in time."""


@dataclass(frozen=True)
class Response:
    """A response, its body cut at 1 MiB."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

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
    """One request over a socket of ``connect``; redirects are not followed."""
    connection = http.client.HTTPConnection(host, timeout=timeout)
    try:
        connection.sock = connect()
        connection.sock.settimeout(timeout)
        sent = {"Accept": "*/*", "User-Agent": "pytest-dora", "Connection": "close"}
        connection.request(method, path, body=body, headers={**sent, **(headers or {})})
        answer = connection.getresponse()
        return Response(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(BODY_BYTES),
        )
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()

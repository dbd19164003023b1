"""A service of ours on loopback, and a stand-in for the store: what collectors are tested with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pytest_dora.delivery.collectors.base import Batch, CollectError, Cursor
from pytest_dora.model.events import Event


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Response:
    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """Send half of it, and hang up."""


@dataclass
class Service:
    """``answer`` may be exchanged at any time; ``requests`` are those that came."""

    url: str
    answer: Callable[[Request], Response]
    requests: list[Request] = field(default_factory=list)


@contextmanager
def serving(answer: Callable[[Request], Response]) -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            parts = urlsplit(self.path)
            read = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query)),
                dict(self.headers.items()),
                json.loads(read) if read.startswith((b"{", b"[")) else read.decode(),
            )
            service.requests.append(request)
            response = service.answer(request)
            content = json.dumps(response.body).encode()
            self.send_response(response.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if response.cut else content)

        do_GET = do_POST = do_HEAD = _serve  # noqa: N815 - http.server names them so

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # so that closing waits for them
    service = Service(f"http://127.0.0.1:{server.server_address[1]}", answer)
    thread = Thread(target=lambda: server.serve_forever(poll_interval=0.01))
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Store:
    """Events by key. The same key never says two things."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.cursor: Cursor | None = None
        self.batches: list[Batch] = []
        self.error: CollectError | None = None

    def take(self, batches: Iterable[Batch]) -> Store:
        """Store every batch and its cursor, as plain JSON; an error ends it and is kept."""
        self.batches, self.error = [], None
        try:
            for batch in batches:
                self.batches.append(batch)
                self.cursor = json.loads(json.dumps(batch.cursor))
                for event in batch.events:
                    known = self.events.setdefault(event.key, event)
                    assert known.digest() == event.digest(), event.key
        except CollectError as error:
            self.error = error
        return self

    def through(self) -> object:
        return self.batches[-1].data_through if self.batches else None

    def of(self, kind: str) -> list[Event]:
        found = [event for event in self.events.values() if event.body.kind == kind]
        return sorted(found, key=lambda event: (event.occurred_at, event.key))

    def text(self) -> str:
        """Everything that it was told, to look for secrets in."""
        said = [event.model_dump_json() for event in self.events.values()]
        return "\n".join([*said, json.dumps(self.cursor), str(self.error), *self.notes()])

    def notes(self) -> list[str]:
        return [note for batch in self.batches for note in batch.notes]

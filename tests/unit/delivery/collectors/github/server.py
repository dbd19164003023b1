"""GitHub's REST API over a world of ours, on the loopback, with the troubles that are asked for."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.unit.delivery.collectors.github.world import World

MOST_RESULTS = 1000
"""GitHub tells of no more runs for one filter."""


@dataclass
class Fault:
    """What goes wrong with requests whose path and query match: ``cut``, or an answer."""

    pattern: str
    kind: str = "answer"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    times: int = 1
    skip: int = 0
    """Requests that go well before."""


class GitHubServer:
    def __init__(self, world: World) -> None:
        self.world = world
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.faults: list[Fault] = []
        self.date: str | None = None
        self.link_base: str | None = None
        """Where pages link to, when a proxy stands before this server."""
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.github = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator[GitHubServer]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def paths(self, pattern: str = "") -> list[str]:
        return [path for path, _ in self.requests if re.search(pattern, path)]

    def fault_of(self, path: str, headers: dict[str, str]) -> Fault | None:
        with self._lock:
            self.requests.append((path, headers))
            for fault in self.faults:
                if fault.times and re.search(fault.pattern, path):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def answer(self, path: str, query: dict[str, str]) -> tuple[Any, int] | None:
        """The whole answer and where its list is paged (-1: nowhere), None when there is none."""
        prefix = f"/repos/{self.world.name}/"
        if not path.startswith(prefix):
            return None
        parts = path.removeprefix(prefix).split("/")
        if parts[0] == "deployments":
            return self._deployments(parts[1:])
        if parts[0] == "actions":
            return self._actions(parts[2:], query)
        if parts[0] == "compare":
            return self._compare(*parts[1].split("..."))
        return self.world.pulls.get(parts[1], []), 0  # of a commit

    def _deployments(self, rest: list[str]) -> tuple[Any, int] | None:
        world = self.world
        match rest:
            case []:
                return _newest(world.deployments.values(), "id"), 0
            case [number, *more] if int(number) in world.deployments:
                one = int(number)
                return (world.statuses[one], 0) if more else (world.deployments[one], -1)
        return None

    def _actions(self, rest: list[str], query: dict[str, str]) -> tuple[Any, int] | None:
        world = self.world
        match rest:
            case []:
                return self._runs(query), 0
            case [number] if int(number) in world.attempts:
                return world.attempts[int(number)][-1], -1
            case [number, "attempts", attempt] if int(number) in world.attempts:
                return world.attempts[int(number)][int(attempt) - 1], -1
            case [number, "attempts", attempt, "jobs"]:
                jobs = world.jobs[int(number), int(attempt)]
                return {"total_count": len(jobs), "jobs": jobs}, 0
        return None

    def _runs(self, query: dict[str, str]) -> dict[str, Any]:
        first, last = query["created"].split("..")
        runs = [
            attempts[-1]
            for attempts in self.world.attempts.values()
            if first <= attempts[-1]["created_at"] <= last
        ]
        shown = _newest(runs, "created_at")[:MOST_RESULTS]
        return {"total_count": len(runs), "workflow_runs": shown}

    def _compare(self, base: str, head: str) -> tuple[Any, int] | None:
        commits = self.world.commits
        places = {one["sha"]: place for place, one in enumerate(commits)}
        if base not in places or head not in places:
            return None
        found = commits[places[base] + 1 : places[head] + 1]
        behind = max(0, places[base] - places[head])
        address = f"https://github.com/{self.world.name}/compare/{base}...{head}"
        return {
            "url": address,
            "html_url": address,
            "permalink_url": address,
            "diff_url": f"{address}.diff",
            "patch_url": f"{address}.patch",
            "base_commit": commits[places[base]],
            "merge_base_commit": commits[min(places[base], places[head])],
            "status": "behind" if behind else "ahead" if found else "identical",
            "ahead_by": len(found),
            "behind_by": behind,
            "total_commits": len(found),
            "commits": found,
        }, 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    github: GitHubServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        github = self.server.github
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = github.fault_of(self.path, headers)
        if fault is not None and fault.kind == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'[{"id": 1')
            self.close_connection = True
            return
        if fault is not None:
            self._send(fault.status, fault.body, fault.headers)
            return
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        found = github.answer(parts.path, query)
        if found is None:
            self._send(404, b'{"message": "Not Found"}', {})
            return
        body, links = _page(*found, query)
        base = github.link_base or f"http://{headers['host']}"
        link = ", ".join(
            f'<{base}{parts.path}?{urlencode({**query, "page": page})}>; rel="{name}"'
            for name, page in links.items()
        )
        self._send(200, json.dumps(body).encode(), {"Link": link} if link else {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.server.github.date or super().date_time_string(timestamp)

    def log_message(self, *_: object) -> None:
        pass


def http_date(moment: Any) -> str:
    return format_datetime(moment, usegmt=True)


def _newest(rows: Any, field_name: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row[field_name], row["id"]), reverse=True)


def _page(body: Any, paged: int, query: dict[str, str]) -> tuple[Any, dict[str, int]]:
    """One page of the list in an answer, and the numbers of the next and the last."""
    if paged < 0:
        return body, {}
    name = None
    rows = body
    if isinstance(body, dict):
        name = next(key for key in ("workflow_runs", "jobs", "commits") if key in body)
        rows = body[name]
    page, size = int(query.get("page", 1)), int(query.get("per_page", 30))
    shown = rows[(page - 1) * size : page * size]
    last = -(-len(rows) // size)
    links = {"next": page + 1, "last": last} if page < last else {}
    return ({**body, name: shown} if name else shown), links

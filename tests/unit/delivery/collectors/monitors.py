"""Real monitoring on the loopback: Prometheus, Alertmanager, an app to watch, a webhook receiver.

Everything is started by a test and ended with it, also when the test's process is killed.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest

_READY_SECONDS = 30
_POLL_SECONDS = 0.02

Found = TypeVar("Found")


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def eventually(ask: Callable[[], Found | None], what: str, seconds: float = 30) -> Found:
    """The first answer that is true, or a failure."""
    deadline = time.monotonic() + seconds
    while True:
        found = ask()
        if found:
            return found
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(_POLL_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@contextmanager
def prometheus(folder: Path, config: str, *, rules: str = "", port: int = 0) -> Iterator[str]:
    """A server over ``folder``/data; gives its address."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yml").write_text(rules)
    (folder / "prometheus.yml").write_text(config)
    argv = [
        tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}", "--storage.tsdb.retention.time=10y",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with _running(argv, f"http://127.0.0.1:{port}", folder / "prometheus.log") as url:
        yield url


@contextmanager
def alertmanager(folder: Path, config: str, *, port: int = 0) -> Iterator[str]:
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yml").write_text(config)
    argv = [
        tool("prometheus-alertmanager"), f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=", "--log.level=warn",
    ]  # fmt: skip
    with _running(argv, f"http://127.0.0.1:{port}", folder / "alertmanager.log") as url:
        yield url


@contextmanager
def _running(argv: list[str], url: str, log: Path) -> Iterator[str]:
    # the kernel ends it when our process dies before it could
    dying = [setpriv, "--pdeathsig", "KILL"] if (setpriv := shutil.which("setpriv")) else []
    with log.open("wb") as output:
        process = subprocess.Popen([*dying, *argv], stdout=output, stderr=output)
    try:
        eventually(lambda: _ready(process, url, log), f"answer of {argv[0]}", _READY_SECONDS)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def posted(url: str, value: Any) -> Any:
    """The JSON that a service answers to JSON."""
    request = urllib.request.Request(
        url, json.dumps(value).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def _ready(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def backfill(folder: Path, samples: str) -> None:
    """Put OpenMetrics samples of the past into the database of a server that is not running."""
    text = folder / "samples.om"
    folder.mkdir(parents=True, exist_ok=True)
    text.write_text(samples + "# EOF\n")
    # blocks as long as those of an old database: promtool reads all samples once per block
    argv = [
        tool("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=744h",
        "openmetrics", str(text), str(folder / "data"),
    ]  # fmt: skip
    done = subprocess.run(argv, check=False, capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr


class App:
    """An app that tells its metrics, goes down and comes back on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: Server | None = None

    def up(self) -> datetime:
        self._server = Server(self.port, _Metrics)
        return datetime.now(UTC)

    def down(self) -> datetime:
        assert self._server is not None
        self._server.close()
        self._server = None
        return datetime.now(UTC)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


class Webhooks:
    """Receives what Alertmanager sends."""

    def __init__(self) -> None:
        self.payloads: list[dict[str, Any]] = []
        self._server = Server(0, _Receiver)
        self._server.payloads = self.payloads
        self.url = self._server.url

    def told(self, status: str) -> dict[str, Any] | None:
        """The first payload with a status."""
        return next((one for one in self.payloads if one["status"] == status), None)

    def close(self) -> None:
        self._server.close()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    payloads: list[dict[str, Any]]

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(10)


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def answer(self, body: bytes, kind: str = "text/plain", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Metrics(Quiet):
    def do_GET(self) -> None:
        self.answer(b'http_requests_total{code="200"} 1\n')


class _Receiver(Quiet):
    server: Server

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.payloads.append(json.loads(content))
        self.answer(b"{}", "application/json")

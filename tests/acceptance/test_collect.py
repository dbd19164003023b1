"""``pytest-dora collect`` as a process: a collector of a third party, killed again and again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_dora.delivery.store import Store
from tests.acceptance.plugin.project import eventually

PAGES, PER_PAGE = 60, 50
HARBOUR = """
from datetime import UTC, datetime, timedelta

from pytest_dora.delivery.collectors import Batch
from pytest_dora.delivery.http import Api
from pytest_dora.model.events import CostBody, Event

START = datetime(2026, 1, 1, tzinfo=UTC)


class Harbour:
    name = "harbour"

    def collect(self, scope, cursor, now):
        page = (cursor or {}).get("page", 0)
        with Api(scope.name, name=self.name) as api:
            while page is not None:
                told = api.get("ships", {"page": page}).body
                events = tuple(
                    Event(
                        key=f"harbour/{ship}",
                        source=self.name,
                        app_id=scope.app_id,
                        occurred_at=START + timedelta(minutes=ship),
                        observed_at=now,
                        body=CostBody(category="other", usd=ship),
                    )
                    for ship in told["ships"]
                )
                page = told["next"]
                known = None if page is not None else now
                yield Batch(events, {"page": page}, known)
                if page is None:
                    return
"""


class Ships(BaseHTTPRequestHandler):
    """A page of numbers, and where the next one is."""

    def do_GET(self) -> None:
        page = int(parse_qs(urlsplit(self.path).query)["page"][0])
        ships = list(range(page * PER_PAGE, (page + 1) * PER_PAGE))
        body = json.dumps({"ships": ships, "next": page + 1 if page + 1 < PAGES else None}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def harbour() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ships)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def project(tmp_path: Path, harbour: str) -> Path:
    """A fleet file, and a package that brings a collector by its entry point."""
    package = tmp_path / "lib"
    (package / "harbour-1.0.dist-info").mkdir(parents=True)
    (package / "harbour.py").write_text(HARBOUR)
    info = package / "harbour-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: harbour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest_dora.collectors]\nharbour = harbour:Harbour\n")
    (tmp_path / "shop").mkdir()
    (tmp_path / "fleet.toml").write_text(
        f"""
        [[app]]
        path = "shop"
        [[collect]]
        collector = "harbour"
        scope = "{harbour}"
        app = "shop"
        """
    )
    return tmp_path


def command(project: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest_dora.cli", "collect", "--fleet", "fleet.toml",
         "--store", "events.db", *more],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "lib")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def stored(project: Path) -> int:
    try:
        with Store.open(project / "events.db", create=False) as store:
            return store.count()
    except Exception:  # noqa: BLE001 - it is just being made
        return 0


def test_a_collection_that_is_killed_ten_times_loses_nothing_and_stores_nothing_twice(
    project: Path,
) -> None:
    chance = random.Random(7)
    killed = 0
    for _ in range(10):
        before, process = stored(project), command(project)
        wanted = before + chance.randrange(1, 3 * PER_PAGE)
        eventually(lambda: stored(project) >= wanted or process.poll() is not None, 60)  # noqa: B023
        killed += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        ended(process)
    status, said = ended(command(project))
    assert status == 0, said
    assert killed >= 3, "it was never caught in the middle"
    with Store.open(project / "events.db") as store:
        keys = [event.key for event in store.read()]
        progress = store.progress("harbour", next(iter(store.all_progress())).scope)
    assert sorted(keys) == sorted(f"harbour/{ship}" for ship in range(PAGES * PER_PAGE))
    assert progress is not None
    assert progress.data_through is not None


def test_reading_again_finds_nothing_new(project: Path) -> None:
    assert ended(command(project))[0] == 0
    status, said = ended(command(project))
    assert status == 0
    assert "0 new" in said
    assert f"through {time.strftime('%Y-')}" in said


def test_a_service_that_cannot_be_read_fails_the_command_and_says_why(project: Path) -> None:
    fleet = project / "fleet.toml"
    fleet.write_text(fleet.read_text().replace('collector = "harbour"', 'collector = "prometheus"'))
    status, said = ended(command(project))
    assert status == 1
    assert "error: prometheus" in said


def test_a_collector_that_does_not_exist_is_a_usage_error(project: Path) -> None:
    status, said = ended(command(project, "lighthouse"))
    assert status == 4
    assert "lighthouse: no such collector; there are alertmanager" in said

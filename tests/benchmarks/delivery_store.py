"""How fast a store takes and gives a team's events, what its metrics cost, and how much memory.

``PYTEST_DORA_BENCHMARK_EVENTS`` sets another number of events, for a trial.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.harness import ROOT, Claim, Options, ProgramFailed, Result, run

if TYPE_CHECKING:
    from pytest_dora.delivery.store import Store
    from pytest_dora.model.events import Event

NAME = "delivery_store"
_EVENTS = int(os.environ.get("PYTEST_DORA_BENCHMARK_EVENTS", "1000000"))
_APPS = 1000
_BATCH = 1000
_START = datetime(2025, 1, 1, tzinfo=UTC)


def measure(_options: Options) -> Result:
    result = Result(NAME)
    with tempfile.TemporaryDirectory(dir=_lasting(), prefix="dora-benchmark-") as folder:
        file = Path(folder, "dora.db")
        first = _phase("append", file)
        again = _phase("append", file)
        read = _phase("read", file)
        by_app = _phase("read_by_app", file)
        if [one["done"] for one in (first, again, read, by_app)] != [_EVENTS, 0, _EVENTS, _EVENTS]:
            raise ProgramFailed(f"events are lost or doubled: {first} {again} {read} {by_app}")
        folded = _phase("fold", file)
        told = _phase("metrics", file)
        if [folded["done"], told["done"]] != [_EVENTS // 4, _APPS]:
            raise ProgramFailed(f"deployments or apps are lost: {folded} {told}")
        result.row("bytes of an event in the file", file.stat().st_size / _EVENTS, "B")
    for what, phase in (
        (f"append {_EVENTS:,} new events, by {_BATCH:,}", first),
        ("append them again", again),
        ("read them in order", read),
        (f"read them app by app ({_APPS})", by_app),
        ("read and fold them", folded),
        (f"read, fold and tell the metrics of {_APPS} apps", told),
    ):
        result.row(what, phase["wall"])
        result.row(f"{what} (CPU)", phase["cpu"])
        result.row(f"{what}, a second", _EVENTS / phase["wall"], "events")
        result.row(f"{what}, peak memory", phase["peak_mib"], "MiB")
    result.notes.append("of append, only the time inside the store counts, not making the events")
    result.claims += [
        Claim("memory to append", first["peak_mib"], 200, "MiB"),
        Claim("memory to read", read["peak_mib"], 200, "MiB"),
        Claim("memory to tell the metrics", told["peak_mib"], 400, "MiB"),
    ]
    return result


def _lasting() -> Path:
    """A disk as stores are on: the folder of temporary files may be in memory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _phase(name: str, file: Path) -> dict[str, Any]:
    """In a process of its own, whose peak of memory is then that of this phase."""
    argv = [sys.executable, "-m", "tests.benchmarks.delivery_store", name, str(file)]
    told: dict[str, Any] = json.loads(run(argv, cwd=ROOT).output)
    return told


# --- in that process ------------------------------------------------------------------------


def _append(store: Store, clock: Clock) -> int:
    from pytest_dora.delivery.store import Progress

    events = _events()
    done, number = 0, 0
    while batch := list(islice(events, _BATCH)):
        number += len(batch)
        with clock:
            done += store.append(batch, Progress("benchmark", "all", {"next": number})).new
    return done


def _read(store: Store, clock: Clock) -> int:
    with clock:
        return sum(1 for _ in store.read())


def _read_by_app(store: Store, clock: Clock) -> int:
    with clock:
        return sum(len(events) for _, events in store.read_by_app(lambda app, name: app or name))


def _fold(store: Store, clock: Clock) -> int:
    from pytest_dora.delivery.fold import fold

    with clock:
        return sum(
            len(fold(app or "", events).deployments)
            for app, events in store.read_by_app(lambda app, name: app or name)
        )


def _metrics(store: Store, clock: Clock) -> int:
    """Of a window that holds half of all events, as a command tells them."""
    from pytest_dora.delivery.policy import Policy, Window
    from pytest_dora.delivery.production import Owners, production

    end = _START + timedelta(seconds=61 * _EVENTS // 4)
    window = Window(_START + (end - _START) / 2, end)
    owners = Owners({f"github:team/app{number}": f"app{number}" for number in range(_APPS)})
    with clock:
        told = production(store, window, end, Policy(incidents_watched=True), owners)
    return len(told.apps)


def _events() -> Iterator[Event]:
    """What a collector gives of a fleet: deployments, each with its statuses and a change."""
    from pytest_dora.model.events import (
        ChangeBody,
        DeploymentBody,
        DeploymentState,
        DeploymentStatusBody,
        Event,
        Method,
    )

    for number in range(_EVENTS):
        deployment, part = divmod(number, 4)
        app = deployment % _APPS
        moment = _START + timedelta(seconds=deployment * 61 + part * 20)
        name = f"github.com/team/app{app}/deployment/{deployment}"
        sha = f"{deployment:040x}"
        body: Any
        if part == 0:
            key = f"github.com/team/app{app}/commit/{sha}"
            body = ChangeBody(commit_sha=sha, authored_at=moment, committed_at=moment)
        elif part == 1:
            key = name
            body = DeploymentBody(
                deployment=name,
                created_at=moment,
                version=f"v{deployment}",
                commit_sha=sha,
                repository=f"team/app{app}",
                method=Method.CI,
                url=f"https://github.com/team/app{app}/deployments/{deployment}",
            )
        else:
            key = f"{name}/status/{number}"
            state = DeploymentState.IN_PROGRESS if part == 2 else DeploymentState.SUCCESS
            body = DeploymentStatusBody(deployment=name, state=state)
        yield Event(
            key=key,
            source="github",
            service=f"github:team/app{app}",
            environment="production",
            occurred_at=moment,
            observed_at=moment + timedelta(minutes=5),
            body=body,
        )


class Clock:
    """Adds up the seconds of what is done inside of it."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._began[0]
        self.cpu += time.process_time() - self._began[1]


_PHASES: dict[str, Callable[[Store, Clock], int]] = {
    "append": _append,
    "read": _read,
    "read_by_app": _read_by_app,
    "fold": _fold,
    "metrics": _metrics,
}


def main(name: str, file: str) -> None:
    from pytest_dora.delivery.store import Store

    clock = Clock()
    with Store.open(file) as store:
        done = _PHASES[name](store, clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    told = {"done": done, "wall": clock.wall, "cpu": clock.cpu, "peak_mib": peak}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])

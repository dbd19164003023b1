"""Many processes at once, and processes that are killed: nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pytest_dora.delivery.store import Store, schema
from pytest_dora.model.events import Event
from tests.unit.delivery.store.facts import deployment

ROOT = Path(__file__).resolve().parents[4]
WRITERS = 6
OWN, SHARED, DISPUTED = 150, 100, 50
KILLS = 10


def start(*arguments: object) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.unit.delivery.store.writer", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def events_of(writer: int) -> list[Event]:
    """Its own, those that all give alike, and those of which all say something else; shuffled."""
    first = writer * OWN
    given = [deployment(number) for number in range(first, first + OWN)]
    given += [deployment(100_000 + number) for number in range(SHARED)]
    given += [deployment(200_000 + number, f"v{writer}") for number in range(DISPUTED)]
    random.Random(writer).shuffle(given)
    return given


def test_processes_that_append_at_once_lose_and_double_nothing(place: str, tmp_path: Path) -> None:
    processes = []
    for writer in range(WRITERS):
        file = tmp_path / f"{writer}.jsonl"
        file.write_text("\n".join(event.model_dump_json() for event in events_of(writer)))
        processes.append(start("append", place, file))
    assert [line(process) for process in processes] == ["ready"] * WRITERS
    for process in processes:  # all open the store now, which none of them finds
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120) for process in processes]
    assert [error for _, error in said] == [""] * WRITERS
    done = [json.loads(output) for output, _ in said]

    stays = WRITERS * OWN + SHARED + DISPUTED
    assert sum(new for new, _, _ in done) == stays
    assert sum(known for _, known, _ in done) == (WRITERS - 1) * SHARED
    assert sum(refused for _, _, refused in done) == (WRITERS - 1) * DISPUTED
    given = {event.digest() for writer in range(WRITERS) for event in events_of(writer)}
    with Store.open(place, create=False) as store:
        stored = list(store.read())
        assert len(stored) == store.count() == len({event.key for event in stored}) == stays
        assert {event.digest() for event in stored} <= given
        assert store.refusals() == {"conflicting_duplicate": (WRITERS - 1) * DISPUTED}
        refused = {Event.model_validate_json(one.event) for one in store.refused_events()}
    assert {event.digest() for event in refused} | {event.digest() for event in stored} == given


def test_a_killed_collector_goes_on_where_it_was(place: str) -> None:
    moments = random.Random(place)
    reached = 0
    for _ in range(KILLS):
        process = start("collect", place, 10**9)
        try:
            assert line(process) == "begins"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0.0, 0.2))
        finally:
            process.kill()
            _, error = process.communicate(timeout=30)
        assert (process.returncode, error) == (-signal.SIGKILL, "")
        reached = progress_of(place, at_least=reached)
    assert reached > 0
    total = reached + 100
    process = start("collect", place, total)
    assert process.communicate(timeout=120) == ("begins\n", "")
    assert progress_of(place, at_least=total) == total
    with Store.open(place, create=False) as store:
        assert {event.key for event in store.read()} == {
            deployment(number).key for number in range(total)
        }
        assert store.refusals() == {}
    if place.startswith("sqlite:///"):
        with sqlite3.connect(place.removeprefix("sqlite:///")) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        raw.close()


def progress_of(place: str, at_least: int) -> int:
    """How far it came, which at every moment is as far as its events go.

    A server may still commit what a killed client has sent, so both are read at one moment.
    """
    with Store.open(place, create=False) as store, store._reading() as connection:
        cursor = connection.scalar(select(schema.progress.c.cursor))
        stored = connection.scalar(select(func.count()).select_from(schema.events))
    reached = 0 if cursor is None else int(json.loads(cursor)["next"])
    assert stored == reached >= at_least
    return reached

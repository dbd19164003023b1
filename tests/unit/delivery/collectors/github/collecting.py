"""What a store would hold of a collection, and worlds to collect from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pytest_dora.delivery.collectors.base import Batch, Cursor
from pytest_dora.model.events import Event
from tests.unit.delivery.collectors.github.world import World, at

KEY = "127.0.0.1/shop/web"


@dataclass
class Collected:
    """What a store would hold: events by key, and the cursor of the last batch."""

    events: dict[str, Event] = field(default_factory=dict)
    cursor: Cursor | None = None
    data_through: datetime | None = None
    notes: list[str] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    repeated: int = 0

    def add(self, batch: Batch) -> None:
        for event in batch.events:
            known = self.events.setdefault(event.key, event)
            assert known.digest() == event.digest(), f"{event.key} contradicts itself"
            self.repeated += known is not event
        self.cursor = batch.cursor
        self.data_through = batch.data_through or self.data_through
        self.notes += batch.notes
        self.batches.append(batch)

    def of(self, kind: str) -> list[Event]:
        found = [event for event in self.events.values() if event.body.kind == kind]
        return sorted(found, key=lambda event: (event.occurred_at, event.key))

    def digests(self) -> dict[str, str]:
        return {key: event.digest() for key, event in self.events.items()}


Collect = Callable[..., Collected]
"""Collects up to a moment into what was collected before: the fixture ``collect``."""


def served(world: World, minute: float, message: str = "Change something", **options: Any) -> int:
    """A commit that is deployed two minutes later and serves one minute after that."""
    sha = world.commit(at(minute), message)
    return world.deploy(
        sha,
        at(minute + 2),
        ("in_progress", at(minute + 2.5)),
        ("success", at(minute + 3)),
        **options,
    )


def shas(collected: Collected, deployment: int) -> tuple[str, ...] | None:
    event = collected.events.get(f"{KEY}/deployment/{deployment}/changes")
    return None if event is None else event.body.commit_shas


def busy(world: World, count: int) -> None:
    """Deployments to production and previews, failures, replaced ones, runs and re-runs."""
    for number in range(count):
        minute = number * 10
        sha = world.commit(at(minute))
        if number % 3 == 0:
            world.pull(sha, opened=at(minute), merged=at(minute + 1))
        state = "failure" if number % 7 == 3 else "success"
        world.deploy(sha, at(minute + 2), ("in_progress", at(minute + 3)), (state, at(minute + 4)))
        if number % 10 == 0:
            run = world.run(sha, at(minute + 1), at(minute + 2), "failure")
            world.rerun(run, at(minute + 3), at(minute + 4), "success")

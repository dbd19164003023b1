"""Which commits a deployment brought: those since the one that served before it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import datetime

from pytest_dora.delivery.collectors.github import facts
from pytest_dora.delivery.collectors.github.client import Repository
from pytest_dora.delivery.collectors.github.state import Served, TimelineState
from pytest_dora.model.events import Event

_REMEMBERED = 20
_MOST_ENVIRONMENTS = 100


class Timeline:
    """What served, by environment, in the order in which it did.

    A deployment's predecessor is the one that served last before it did, which is a fact of the
    past: it is the same however often, in which portions and in which order all is read. So a
    deployment waits until nothing that served before it can be unread.
    """

    def __init__(self, state: TimelineState) -> None:
        self._pending = list(state.pending)
        self._served = {place: list(served) for place, served in state.served.items()}

    def add(self, one: Served) -> None:
        """Take note of one that served; again and again, if need be."""
        known = self._served.get(_place(one), [])
        told = any(one.key == other.key for other in (*known, *self._pending))
        # the oldest of a full memory: what served before it was told and forgotten
        forgotten = len(known) >= _REMEMBERED and _order(one) < _order(known[0])
        if not told and not forgotten:
            insort(self._pending, one, key=_order)

    def take(self, before: datetime) -> Iterator[tuple[Served, Served | None]]:
        """Those that served before a moment up to which everything is known, each with the one
        that served before it in its environment, if any did."""
        while self._pending and self._pending[0].finished_at < before:
            one = self._pending.pop(0)
            known = self._served.setdefault(_place(one), [])
            at = bisect_left(known, _order(one), key=_order)
            previous = known[at - 1] if at else None
            known.insert(at, one)
            del known[:-_REMEMBERED]
            yield one, previous

    def state(self) -> TimelineState:
        """Bounded: environments in which nothing has served for longest are forgotten first."""
        latest = sorted(self._served, key=lambda place: _order(self._served[place][-1]))
        kept = sorted(latest[-_MOST_ENVIRONMENTS:])
        return TimelineState(
            pending=tuple(self._pending),
            served={place: tuple(self._served[place]) for place in kept},
        )


class Changes:
    """Reads commits and their pull requests; each commit once in a collection."""

    def __init__(self, repository: Repository, origin: facts.Origin, notes: list[str]) -> None:
        self._repository = repository
        self._origin = origin
        self._notes = notes
        self._told: set[str] = set()

    def of(self, one: Served, previous: Served | None) -> list[Event]:
        """Nothing for the first deployment of an environment: nobody knows what it brought."""
        if previous is None:
            return []
        if previous.sha == one.sha:
            return [self._event(one, [], truncated=False)]
        compared = self._repository.compare(previous.sha, one.sha)
        if compared is None:
            self._notes.append(
                f"{one.key}: the commits since {previous.sha[:12]} are not known: GitHub cannot "
                "compare the two (was history rewritten?)"
            )
            return []
        commits, truncated = compared
        if truncated:
            self._notes.append(f"{one.key}: only the first {len(commits)} commits were read")
        events = [self._event(one, [commit.sha for commit in commits], truncated=truncated)]
        for commit in commits:
            if commit.sha in self._told:
                continue
            event = facts.change_event(self._origin, commit, self._repository.pulls(commit.sha))
            self._told.add(commit.sha)
            if event is None:
                self._notes.append(f"commit {commit.sha} has no date and was left out")
            else:
                events.append(event)
        return events

    def _event(self, one: Served, shas: list[str], *, truncated: bool) -> Event:
        return facts.changes_event(
            self._origin, one.key, one.environment, one.finished_at, shas, truncated=truncated
        )


def _place(one: Served) -> str:
    return one.environment or ""


def _order(one: Served) -> tuple[datetime, str]:
    return one.finished_at, one.key

"""Reads deployments and their statuses: those that are new, and those that may have changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pytest_dora.delivery.collectors.github import facts
from pytest_dora.delivery.collectors.github.changes import Changes, Timeline
from pytest_dora.delivery.collectors.github.client import Repository
from pytest_dora.delivery.collectors.github.payloads import DeploymentPayload, StatusPayload
from pytest_dora.delivery.collectors.github.state import DeploymentsState, Served
from pytest_dora.model.events import Event

_PORTION = 25
_MOST_OPEN = 500
_LONGEST_OPEN = timedelta(days=40)
"""A workflow lives no longer than 35 days, so a deployment that is older will not end."""


@dataclass(frozen=True)
class Step:
    """Some events, and the state that holds once they are stored."""

    events: tuple[Event, ...]
    deployments: DeploymentsState


@dataclass
class DeploymentsReader:
    """One collection of deployments, the oldest first, so that what was read once is past.

    GitHub lists the newest first and knows no "since": the list (100 in a request) is read down
    to what is known; statuses (a request each) only of deployments that are new, had not ended,
    or are on the way there and were touched since the last collection.
    """

    repository: Repository
    origin: facts.Origin
    changes: Changes
    notes: list[str]
    since: datetime | None = None
    let_go: int = 0

    def read(self, state: DeploymentsState, now: datetime) -> Iterator[Step]:
        listed, newest_touch = self._listed(state.through)
        state = state.model_copy(update={"updating": state.updating or newest_touch})
        work = self._work(listed, state)
        unread_from = _earliest_of_rest(work, self._clock(now))
        timeline = Timeline(state.timeline)
        still_open = set(state.open) & {one.id for one in work}
        for at in range(0, len(work), _PORTION):
            portion = work[at : at + _PORTION]
            events: list[Event] = []
            for deployment in portion:
                statuses = self.repository.statuses(deployment.id)
                events += self._told(deployment, statuses, timeline)
                still_open.discard(deployment.id)
                if not any(status.state in facts.ENDED for status in statuses):
                    self._keep_open(still_open, deployment, now)
            state = state.model_copy(
                update={
                    "through": max(state.through, portion[-1].id),
                    "open": self._bounded(still_open),
                    "timeline": timeline.state(),
                }
            )
            yield Step(tuple(events), state)
            for step in self._changes(timeline, unread_from[at + len(portion)], state):
                state = step.deployments
                yield step
        done = {
            "updated": state.updating,
            "updating": None,
            "open": self._bounded(still_open),
            "timeline": timeline.state(),
        }
        if self.let_go:
            self.notes.append(
                f"{self.let_go} deployments have not ended (not in {_LONGEST_OPEN.days} days, or "
                f"more than {_MOST_OPEN} at a time) and are not looked at again"
            )
        yield Step((), state.model_copy(update=done))

    def _listed(self, through: int) -> tuple[dict[int, DeploymentPayload], datetime | None]:
        """What is listed down to what is known, and when the newest hundred were last touched."""
        listed: dict[int, DeploymentPayload] = {}
        touched: datetime | None = None
        for page in self.repository.deployment_pages():
            if not listed:
                touched = max((one.updated_at for one in page), default=None)
            listed.update({one.id: one for one in page})
            if all(one.id <= through for one in page):
                break
            if self.since is not None and all(one.created_at < self.since for one in page):
                break
        return listed, touched

    def _work(
        self, listed: dict[int, DeploymentPayload], state: DeploymentsState
    ) -> list[DeploymentPayload]:
        seen_to = state.updated or state.updating
        work = {
            one.id: one
            for one in listed.values()
            if (one.id > state.through and (self.since is None or one.created_at >= self.since))
            or (one.id <= state.through and seen_to is not None and one.updated_at >= seen_to)
        }
        for number in state.open:
            one = listed.get(number) or self.repository.deployment(number)
            if one is None:
                self.notes.append(f"deployment {number} was deleted before it ended")
            else:
                work[number] = one
        return [work[number] for number in sorted(work)]

    def _told(
        self,
        deployment: DeploymentPayload,
        statuses: Sequence[StatusPayload],
        timeline: Timeline,
    ) -> list[Event]:
        key = self.origin.key("deployment", deployment.id)
        for status in statuses:
            if status.state not in facts.STATES:
                self.notes.append(f"{key}: its status {status.state[:40]!r} is not known here")
        success = facts.success_of(deployment, statuses)
        if success is not None:
            served_at, environment = success
            timeline.add(
                Served(finished_at=served_at, key=key, environment=environment, sha=deployment.sha)
            )
        return facts.deployment_events(self.origin, deployment, statuses)

    def _changes(
        self, timeline: Timeline, known_to: datetime, state: DeploymentsState
    ) -> Iterator[Step]:
        for one, previous in timeline.take(known_to):
            events = self.changes.of(one, previous)
            if events:
                now_told = state.model_copy(update={"timeline": timeline.state()})
                yield Step(tuple(events), now_told)

    def _keep_open(
        self, still_open: set[int], deployment: DeploymentPayload, now: datetime
    ) -> None:
        if now - deployment.created_at > _LONGEST_OPEN:
            self.let_go += 1
        else:
            still_open.add(deployment.id)

    def _bounded(self, still_open: set[int]) -> tuple[int, ...]:
        for number in sorted(still_open)[:-_MOST_OPEN]:
            still_open.discard(number)
            self.let_go += 1
        return tuple(sorted(still_open))

    def _clock(self, now: datetime) -> datetime:
        """Up to when GitHub has told everything: ours may be ahead of its clock."""
        return min(now, self.repository.clock or now)


def _earliest_of_rest(work: Sequence[DeploymentPayload], end: datetime) -> list[datetime]:
    """For each index, the moment before which nothing from there on can have served."""
    earliest = [end]
    for one in reversed(work):
        earliest.append(min(one.created_at, earliest[-1]))
    return earliest[::-1]

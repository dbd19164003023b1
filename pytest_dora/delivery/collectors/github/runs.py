"""Reads workflow runs: every attempt that has ended, each once it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pytest_dora.delivery.collectors.ci import Job, Pipeline, PipelineDeployment, deployment_of
from pytest_dora.delivery.collectors.github import facts
from pytest_dora.delivery.collectors.github.changes import Changes, Timeline
from pytest_dora.delivery.collectors.github.client import Repository
from pytest_dora.delivery.collectors.github.payloads import JobPayload, RunPayload
from pytest_dora.delivery.collectors.github.state import RunsState, Served
from pytest_dora.delivery.environments import EnvironmentTier, tier_of
from pytest_dora.model.events import Event, RunOutcome

_FIRST_RUN = datetime(2018, 10, 16, tzinfo=UTC)
"""GitHub Actions did not exist before."""
_RERUN_WITHIN = timedelta(days=31)
"""A run can be started again for 30 days, and keeps the time at which it was created."""
_CLOCKS_DIFFER = timedelta(hours=1)
_PORTION = 50
_MOST_OPEN = 500


@dataclass(frozen=True)
class Naming:
    """Which runs are deployments: patterns for names of workflows and of jobs, and to where."""

    workflows: tuple[re.Pattern[str], ...] = ()
    jobs: tuple[re.Pattern[str], ...] = ()
    environment: str | None = None

    def pipeline(
        self, key: str, run: RunPayload, jobs: list[JobPayload], finished_at: datetime
    ) -> Pipeline:
        """The environment is the one given, else what the words of the names tell."""
        return Pipeline(
            key=key,
            deploys=_matches(self.workflows, run.name or ""),
            outcome=facts.run_outcome(run),
            environment=self.environment or _environment_in(run.name),
            started_at=run.run_started_at or run.created_at,
            finished_at=finished_at,
            jobs=tuple(
                Job(
                    name=job.name,
                    deploys=_matches(self.jobs, job.name),
                    outcome=facts.OUTCOMES.get((job.conclusion or "").lower()),
                    environment=_environment_in(job.name),
                )
                for job in jobs
            ),
        )


@dataclass(frozen=True)
class Step:
    """Some events, and the state that holds once they are stored."""

    events: tuple[Event, ...]
    runs: RunsState


@dataclass
class RunsReader:
    """One collection of workflow runs, the earliest created first.

    GitHub cannot be asked what ended or began again since some time. So the runs of the last 31
    days before the last collection are listed again (100 in a request), and those read in full
    that were touched since; runs that had not ended are asked for one by one.
    """

    repository: Repository
    origin: facts.Origin
    changes: Changes
    naming: Naming
    notes: list[str]
    since: datetime | None = None
    seen: set[int] = field(default_factory=set)

    def read(self, state: RunsState, now: datetime) -> Iterator[Step]:
        state = state.model_copy(update={"began": state.began or now})
        timeline = Timeline(state.timeline)
        still_open: set[int] = set()
        old = self._opened_before(state.open)
        for end, runs in self._portions(old, state, now):
            events: list[Event] = []
            for run in runs:
                self.seen.add(run.id)
                events += self._told(run, timeline)
                if not run.ended:
                    still_open.add(run.id)
            kept = sorted({*still_open, *(set(state.open) - self.seen)})
            if len(kept) > _MOST_OPEN:
                self.notes.append(
                    f"{len(kept) - _MOST_OPEN} workflow runs have not ended and are not looked at "
                    "again"
                )
            state = state.model_copy(
                update={
                    "through": max(end, state.through or end) if end else state.through,
                    "open": tuple(kept[-_MOST_OPEN:]),
                    "timeline": timeline.state(),
                }
            )
            yield Step(tuple(events), state)
            # what is unread was created later, and so served later
            for one, previous in timeline.take(end or _FIRST_RUN):
                told = self.changes.of(one, previous)
                state = state.model_copy(update={"timeline": timeline.state()})
                yield Step(tuple(told), state)
        done = {"collected": state.began, "began": None, "through": None}
        yield Step((), state.model_copy(update=done))

    def _opened_before(self, numbers: tuple[int, ...]) -> list[RunPayload]:
        found = []
        for number in numbers:
            run = self.repository.run(number)
            if run is None:
                self.notes.append(f"workflow run {number} was deleted before it ended")
                self.seen.add(number)
            else:
                found.append(run)
        return found

    def _portions(
        self, old: list[RunPayload], state: RunsState, now: datetime
    ) -> Iterator[tuple[datetime | None, list[RunPayload]]]:
        """Runs, and the moment up to which all that were created are read then."""
        for at in range(0, len(old), _PORTION):
            yield None, old[at : at + _PORTION]
        start = self.since or _FIRST_RUN
        if state.collected is not None:
            start = max(start, state.collected - _RERUN_WITHIN)
        start = max(start, state.through or start)
        end = min(now, self.repository.clock or now)
        untouched = state.collected - _CLOCKS_DIFFER if state.collected is not None else None
        for slice_end, runs in self.repository.runs(start, end, self.notes):
            fresh = sorted(
                (
                    run
                    for run in runs
                    if run.id not in self.seen
                    and (untouched is None or not run.ended or run.updated_at >= untouched)
                ),
                key=lambda run: (run.created_at, run.id),
            )
            while len(fresh) > _PORTION:
                yield fresh[_PORTION].created_at, fresh[:_PORTION]
                fresh = fresh[_PORTION:]
            yield slice_end, fresh

    def _told(self, run: RunPayload, timeline: Timeline) -> list[Event]:
        events: list[Event] = []
        for attempt in range(1, run.run_attempt):
            earlier = self.repository.run(run.id, attempt)
            if earlier is None:
                key = self.origin.key("run", run.id, "attempt", attempt)
                self.notes.append(f"{key} was deleted before it was read")
            else:
                events += self._attempt(earlier, timeline)
        return events + self._attempt(run, timeline)

    def _attempt(self, run: RunPayload, timeline: Timeline) -> list[Event]:
        if not run.ended:
            return []
        key = self.origin.key("run", run.id, "attempt", run.run_attempt)
        outcome = facts.run_outcome(run)
        if outcome is None:
            self.notes.append(
                f"{key}: its conclusion {str(run.conclusion)[:40]!r} is not known here"
            )
            return []
        jobs = self.repository.jobs(run)
        finished_at = facts.run_finish(run, jobs)
        if finished_at is None:
            self.notes.append(f"{key} ended before it began and was left out")
            return []
        events = [facts.run_event(self.origin, run, finished_at, outcome)]
        deployment = deployment_of(self.naming.pipeline(key, run, jobs, finished_at))
        if deployment is not None:
            events += facts.run_deployment_events(self.origin, run, deployment)
            _note_success(timeline, run, deployment)
        return events


def _note_success(timeline: Timeline, run: RunPayload, deployment: PipelineDeployment) -> None:
    if deployment.outcome is RunOutcome.SUCCESS and deployment.finished_at is not None:
        timeline.add(
            Served(
                finished_at=deployment.finished_at,
                key=deployment.pipeline,
                environment=deployment.environment,
                sha=run.head_sha,
            )
        )


def _matches(patterns: tuple[re.Pattern[str], ...], name: str) -> bool:
    return any(pattern.search(name) for pattern in patterns)


def _environment_in(name: str | None) -> str | None:
    tier = tier_of(name)
    return None if tier is EnvironmentTier.UNKNOWN else tier.value

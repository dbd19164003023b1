"""The collector of GitHub."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import JsonValue, ValidationError

from pytest_dora.delivery.collectors.base import Batch, CollectError, Cursor, Scope
from pytest_dora.delivery.collectors.github import deployments, runs
from pytest_dora.delivery.collectors.github.changes import Changes
from pytest_dora.delivery.collectors.github.client import HEADERS, Repository, checked_name
from pytest_dora.delivery.collectors.github.facts import Origin
from pytest_dora.delivery.collectors.github.state import State
from pytest_dora.delivery.http import Api
from pytest_dora.model.base import Model
from pytest_dora.model.events import Event, Utc

TOKEN = "GITHUB_TOKEN"
_EVENTS_IN_A_BATCH = 200


class Options(Model):
    """What a scope may say of a repository."""

    base_url: str | None = None
    """Of the REST API; ``https://HOST/api/v3`` for an own GitHub server."""
    since: Utc | None = None
    """Nothing that was made before is read."""
    deploy_workflows: tuple[str, ...] = ()
    """Patterns (regular expressions, found anywhere in the name, any case) of workflows whose
    runs are deployments, for repositories without deployment objects."""
    deploy_jobs: tuple[str, ...] = ()
    """The same for names of jobs: a run with such a job is a deployment."""


@dataclass(frozen=True)
class _Step:
    events: tuple[Event, ...]
    state: State


class GitHub:
    """Deployments, workflow runs, and the commits and pull requests that deployments brought.

    A scope is ``owner/repo``; see ``Options`` for its options. The token is taken from the
    environment variable ``GITHUB_TOKEN``; without it only what is public can be read, and slowly.
    ``wait`` is how to wait when GitHub asks for it (seconds).
    """

    name = "github"

    def __init__(
        self,
        base_url: str = "https://api.github.com",
        *,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url
        self._wait = wait

    def collect(self, scope: Scope, cursor: Cursor | None, now: datetime) -> Iterator[Batch]:
        """Batches of at least 200 events; the last one says that all is known up to ``now``: up to
        GitHub's own clock where that is behind, and after an interruption up to when the
        collection began.

        What could not be read is in the notes of the batch after which it was found out.
        """
        name, options = checked_name(scope.name), _options(scope.options)
        state, base_url = State.of(cursor), options.base_url or self._base_url
        notes: list[str] = []
        with self._api(base_url) as api:
            repository = Repository(api, name)
            origin = Origin(_host(base_url), name, scope.app_id, now)
            changes = Changes(repository, origin, notes)
            naming = runs.Naming(
                workflows=_patterns("deploy_workflows", options.deploy_workflows),
                jobs=_patterns("deploy_jobs", options.deploy_jobs),
                environment=scope.environment,
            )
            reading = _steps(
                state,
                deployments.DeploymentsReader(repository, origin, changes, notes, options.since),
                runs.RunsReader(repository, origin, changes, naming, notes, options.since),
                now,
            )
            yield from _batches(reading, notes, lambda: repository.clock or now)

    def _api(self, base_url: str) -> Api:
        token = os.environ.get(TOKEN, "").strip()
        headers = {**HEADERS, **({"Authorization": f"Bearer {token}"} if token else {})}
        return Api(base_url, name=self.name, headers=headers, secret=TOKEN, wait=self._wait)


def _steps(
    state: State,
    deployed: deployments.DeploymentsReader,
    ran: runs.RunsReader,
    now: datetime,
) -> Iterator[_Step]:
    for step in deployed.read(state.deployments, now):
        state = state.model_copy(update={"deployments": step.deployments})
        yield _Step(step.events, state)
    for run_step in ran.read(state.runs, now):
        state = state.model_copy(update={"runs": run_step.runs})
        yield _Step(run_step.events, state)


def _batches(
    steps: Iterator[_Step], notes: list[str], clock: Callable[[], datetime]
) -> Iterator[Batch]:
    """Many small steps in few batches. What was read before an error is not lost."""
    events: list[Event] = []
    state: State | None = None
    told = 0

    def batch(data_through: datetime | None = None) -> Batch:
        assert state is not None
        return Batch(tuple(events), state.cursor(), data_through, tuple(notes[told:]))

    try:
        for step in steps:
            events += step.events
            state = step.state
            if len(events) >= _EVENTS_IN_A_BATCH:
                ready = batch()
                events, told = [], len(notes)
                yield ready
    except CollectError:
        if state is not None:
            yield batch()
        raise
    assert state is not None
    assert state.runs.collected is not None
    # of a collection that was interrupted, the runs are known up to when it began
    yield batch(min(clock(), state.runs.collected))


def _options(said: Mapping[str, JsonValue]) -> Options:
    try:
        return Options.model_validate(dict(said))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CollectError(f"github: option {where}: {first['msg']}") from None


def _patterns(option: str, patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    found = []
    for pattern in patterns:
        try:
            found.append(re.compile(pattern, re.IGNORECASE))
        except re.error as error:
            raise CollectError(f"github: option {option}: {pattern!r}: {error}") from None
    return tuple(found)


def _host(base_url: str) -> str:
    """The host by which the web knows what this API tells: its keys must not change with it."""
    host = urlsplit(base_url).hostname or ""
    return host.removeprefix("api.")

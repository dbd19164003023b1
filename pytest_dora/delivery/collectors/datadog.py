"""What Datadog knows of a service: DORA deployments and failures, incidents, and metrics.

Datadog's lists of DORA events have a limit and no pages, so they are read in slices of time that
are halved until their answers are below the limit. Times come as ISO 8601 or as Unix time in
seconds, milliseconds or nanoseconds, as Datadog itself takes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, JsonValue

from pytest_dora.delivery.collectors.base import Batch, CollectError, Cursor, Scope
from pytest_dora.delivery.collectors.datadog_answers import (
    DeploymentItem,
    Deployments,
    FailureItem,
    Failures,
    Incident,
    IncidentPage,
    Timeseries,
)
from pytest_dora.delivery.collectors.parsing import Moment, parsed, secret_from, shown
from pytest_dora.delivery.collectors.servers import Duration
from pytest_dora.delivery.http import Api
from pytest_dora.model.base import Model
from pytest_dora.model.events import (
    Body,
    DeploymentBody,
    DeploymentState,
    DeploymentStatusBody,
    Event,
    HealthBody,
    IncidentBody,
    QueryFailuresBody,
)

_KEYS = ("DD_API_KEY", "DD_APP_KEY")
_LIMIT = 1000
"""The most events that one answer may hold."""
_SLICE = timedelta(days=30)
_SECOND = timedelta(seconds=1)
_DAY = 86_400
_LATE = timedelta(days=7)
"""Events are often sent when something ended, and dated when it began; later ones are missed."""
_SETTLED = timedelta(minutes=15)
"""Metrics still change for some minutes."""
_MODIFIED_MEANWHILE = timedelta(minutes=10)
_PAGE = 100
_PERIODS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DatadogOptions(Model):
    """In a metric query, ``$app`` is the service and ``$step`` the seconds of a period. It gives
    one series with one point a period: ``.rollup(sum, $step)`` makes it so."""

    base_url: str | None = None
    site: str | None = Field(None, pattern=r"^[A-Za-z0-9.-]+$")
    history: Duration = Field(90 * _DAY, ge=_DAY)
    """How far back a first collection goes, and how long an end is waited for."""
    dora: bool = True
    query: str | None = None
    """Which DORA events are the app's; those of the service unless given."""
    incidents: bool = False
    step: Duration = Field(3600, ge=60, le=31 * _DAY)
    uptime: str | None = None
    """Share of the period, 0 to 1."""
    requests: str | None = None
    errors: str | None = None
    p50_ms: str | None = None
    p99_ms: str | None = None
    queries: str | None = None
    query_failures: str | None = None

    def expressions(self) -> dict[str, str]:
        names = ("uptime", "requests", "errors", "p50_ms", "p99_ms", "queries", "query_failures")
        told = {name: getattr(self, name) for name in names}
        return {name: query for name, query in told.items() if query}


class _Events(Model):
    """How far a list of DORA events was read, and since when something is open in it."""

    through: Moment | None = None
    open_since: Moment | None = None


class _Incidents(Model):
    through: Moment | None = None
    """What was modified before is known."""
    began: Moment | None = None
    offset: int = 0


class _Place(Model):
    deployments: _Events = _Events()
    failures: _Events = _Events()
    incidents: _Incidents = _Incidents()
    metrics: Moment | None = None
    """The end of the last period that is known."""


class DatadogCollector:
    """Reads the service ``scope.name`` with the keys in ``DD_API_KEY`` and ``DD_APP_KEY``.

    The site is that of ``DD_SITE`` or of an option, else datadoghq.com. Options say what is read:
    DORA events always unless ``dora`` is false, incidents where ``incidents`` is true, metrics
    where queries are given.
    """

    name = "datadog"

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        self._wait = wait

    def collect(self, scope: Scope, cursor: Cursor | None, now: datetime) -> Iterator[Batch]:
        options = parsed(
            DatadogOptions, dict(scope.options), f"datadog: the options of {scope.name}"
        )
        place = parsed(_Place, cursor or {}, f"datadog: the cursor of {scope.name}")
        site = options.site or os.environ.get("DD_SITE", "").strip() or "datadoghq.com"
        api_key, app_key = (secret_from(variable, name=self.name) for variable in _KEYS)
        with Api(
            options.base_url or f"https://api.{site}",
            name=self.name,
            headers={"DD-API-KEY": api_key, "DD-APPLICATION-KEY": app_key},
            secret=" or ".join(_KEYS),
            wait=self._wait,
        ) as api:
            reading = _Reading(api, scope, options, site, now)
            if options.dora:
                place = yield from reading.events_of("deployments", place)
                place = yield from reading.events_of("failures", place)
            if options.incidents:
                place = yield from reading.incidents(place)
            if options.expressions():
                place = yield from reading.metrics(place)
        known = [now] if options.dora or options.incidents else []
        if options.expressions() and place.metrics is not None:
            known.append(place.metrics)
        yield Batch((), _cursor(place), min(known, default=None))


_Steps = Generator[Batch, None, _Place]


@dataclass(frozen=True)
class _Reading:
    """One collection of one service. Each part gives batches and returns the place it reached."""

    api: Api
    scope: Scope
    options: DatadogOptions
    site: str
    now: datetime

    def events_of(self, kind: Literal["deployments", "failures"], place: _Place) -> _Steps:
        before: _Events = getattr(place, kind)
        first = self.now - timedelta(seconds=self.options.history)
        starts = [before.through - _LATE] if before.through else [first]
        if before.open_since is not None:
            starts.append(before.open_since)
        start, open_since = max(first, min(starts)), None
        for end, items in self._slices(kind, start):
            begun = [one.attributes.started_at for one in items if not one.attributes.finished_at]
            open_since = min((*filter(None, (open_since, *begun)),), default=None)
            reached = _Events(through=end, open_since=open_since)
            place = place.model_copy(update={kind: reached})
            events, notes = [], []
            for item in items:
                if item.attributes.started_at is None:
                    notes.append(f"datadog: {kind} {item.id} has no start, and is left out")
                elif isinstance(item, DeploymentItem):
                    events += self._deployment(item, item.attributes.started_at)
                else:
                    events.append(self._failure(item, item.attributes.started_at))
            yield Batch(tuple(events), _cursor(place), notes=tuple(notes))
        return place

    def _slices(
        self, kind: Literal["deployments", "failures"], start: datetime
    ) -> Iterator[tuple[datetime, tuple[DeploymentItem | FailureItem, ...]]]:
        """What happened in one slice of time after the other, and where each ends."""
        what = f"datadog: the {kind} of {self.scope.name}"
        start, width = start.replace(microsecond=0), _SLICE
        while start < self.now:
            end = min(start + width, self.now)
            attributes = {
                "from": _iso(start - _SECOND),  # nothing says whether bounds are within
                "to": _iso(end),
                "query": self.options.query or f"service:{_quoted(self.scope.name)}",
                "limit": _LIMIT,
            }
            wanted = {"data": {"attributes": attributes, "type": f"dora_{kind}_list_request"}}
            body = self.api.post(f"api/v2/dora/{kind}", wanted).body
            items: tuple[DeploymentItem | FailureItem, ...] = (
                parsed(Deployments, body, what).data
                if kind == "deployments"
                else parsed(Failures, body, what).data
            )
            if len(items) < _LIMIT:
                yield end, items
                start, width = end, min(width * 2, _SLICE)
            elif width <= _SECOND:
                raise CollectError(
                    f"datadog: {self.scope.name} has {_LIMIT} {kind} or more within a second of "
                    f"{_iso(start)}: narrow the option query"
                )
            else:
                width = max((end - start) // (2 * _SECOND) * _SECOND, _SECOND)

    def _deployment(self, item: DeploymentItem, started: datetime) -> list[Event]:
        key = f"datadog/{self.site}/dora/deployment/{item.id}"
        told = item.attributes
        body = DeploymentBody(
            deployment=key,
            started_at=started,
            version=told.version,
            commit_sha=told.git.commit_sha if told.git else None,
            repository=told.git.repository_id if told.git else None,
        )
        events = [self._event(key, started, body, told.env)]
        if told.finished_at is not None:
            # what did not get so far is not sent to Datadog: it has no word for a failed one
            status = DeploymentStatusBody(deployment=key, state=DeploymentState.SUCCESS)
            events.append(self._event(f"{key}/finished", told.finished_at, status, told.env))
        return events

    def _failure(self, item: FailureItem, started: datetime) -> Event:
        """What is known of a failure; Datadog does not say when that changed, so its content
        names the event."""
        key, told = f"datadog/{self.site}/dora/failure/{item.id}", item.attributes
        body = IncidentBody(
            incident=key,
            title=told.name[:2000] if told.name else None,
            severity=told.severity,
            started_at=started,
            resolved_at=told.finished_at,
        )
        said = json.dumps([body.model_dump(mode="json"), told.env], sort_keys=True)
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        return self._event(f"{key}/{digest}", told.finished_at or started, body, told.env)

    def incidents(self, place: _Place) -> _Steps:
        before = place.incidents
        began = before.began or self.now
        offset = max(0, before.offset - _PAGE)  # what was deleted meanwhile moved the others up
        while True:
            body = self.api.get(
                "api/v2/incidents", {"page[size]": _PAGE, "page[offset]": offset}
            ).body
            page = parsed(IncidentPage, body, "datadog: a page of incidents")
            following = page.meta.pagination.next_offset
            ended = following is None or following <= offset or not page.data
            reached = (
                _Incidents(through=began - _MODIFIED_MEANWHILE)
                if ended
                else _Incidents(through=before.through, began=began, offset=following or 0)
            )
            place = place.model_copy(update={"incidents": reached})
            yield Batch(
                tuple(
                    self._incident(one)
                    for one in page.data
                    if one.attributes.concerns(self.scope.name)
                    and not one.attributes.is_test
                    and (before.through is None or one.attributes.modified >= before.through)
                ),
                _cursor(place),
            )
            if ended:
                return place
            offset = following or 0

    def _incident(self, item: Incident) -> Event:
        key, told = f"datadog/{self.site}/incident/{item.id}", item.attributes
        body = IncidentBody(
            incident=key,
            title=told.title[:2000],
            severity=None if told.severity == "UNKNOWN" else told.severity,
            started_at=told.customer_impact_start,
            detected_at=told.detected,
            resolved_at=told.resolved,
        )
        return self._event(f"{key}/{told.modified.isoformat()}", told.modified, body)

    def metrics(self, place: _Place) -> _Steps:
        step = timedelta(seconds=self.options.step)
        first = self.now - timedelta(seconds=self.options.history)
        start = place.metrics or first
        start = _EPOCH - (_EPOCH - start) // step * step  # the next beginning of a period
        last = _EPOCH + (self.now - _SETTLED - _EPOCH) // step * step
        while start < last:
            end = min(start + _PERIODS * step, last)
            values: dict[datetime, dict[str, float]] = {}
            for name, query in self.options.expressions().items():
                for at, value in self._points(name, query, start, end):
                    values.setdefault(at, {})[name] = value
            place = place.model_copy(update={"metrics": end})
            yield Batch(
                tuple(event for at in sorted(values) for event in self._health(at, values[at])),
                _cursor(place),
            )
            start = end
        return place

    def _points(
        self, name: str, query: str, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, float]]:
        """The beginning of each period of which something is known, and its value."""
        step = self.options.step
        filled = query.replace("$app", self.scope.name).replace("$step", str(step))
        params = {"from": int(start.timestamp()), "to": int(end.timestamp()), "query": filled}
        what = f"datadog: {name} of {self.scope.name}"
        found = parsed(Timeseries, self.api.get("api/v1/query", params).body, what)
        if found.status != "ok" or found.error:
            raise CollectError(f"{what}: {shown(found.error or found.status, *_KEYS)}")
        if len(found.series) > 1:
            raise CollectError(f"{what}: gives {len(found.series)} series; sum them to one")
        for milliseconds, value in found.series[0].pointlist if found.series else ():
            at = _EPOCH + timedelta(milliseconds=milliseconds)
            if value is None or not start <= at < end:
                continue
            if milliseconds % (step * 1000):
                raise CollectError(
                    f"{what}: has a point at {_iso(at)}, within a period of {step} s; end the "
                    "query with .rollup(…, $step)"
                )
            yield at, value

    def _health(self, start: datetime, values: Mapping[str, float]) -> Iterator[Event]:
        """What is known of one period."""
        end = start + timedelta(seconds=self.options.step)
        what = f"datadog: metrics of {self.scope.name} at {_iso(start)}"
        span: dict[str, Any] = {"start": start, "end": end}
        queries = ("queries", "query_failures")
        health = {name: value for name, value in values.items() if name not in queries}
        bodies: list[HealthBody | QueryFailuresBody] = []
        if health:
            bodies.append(parsed(HealthBody, span | health, what))
        if "query_failures" in values:
            told = {"queries": values.get("queries"), "failures": values["query_failures"]}
            bodies.append(parsed(QueryFailuresBody, span | told, what))
        for body in bodies:
            key = f"datadog/{self.site}/{self.scope.name}/{body.kind}/{self.options.step}"
            yield self._event(f"{key}/{_iso(start)}", end, body)

    def _event(self, key: str, at: datetime, body: Body, environment: str | None = None) -> Event:
        return Event(
            key=key,
            source=DatadogCollector.name,
            app_id=self.scope.app_id,
            service=f"datadog:{self.scope.name}",
            environment=environment or self.scope.environment,
            occurred_at=at,
            observed_at=self.now,
            body=body,
        )


def _cursor(place: _Place) -> Cursor:
    found: dict[str, JsonValue] = place.model_dump(mode="json")
    return found


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _quoted(name: str) -> str:
    """A value in Datadog's search syntax."""
    if re.fullmatch(r"[\w.-]+", name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'

"""Prometheus: an app's health by period, and its alerts with their history.

Health: each expression is asked once per period (an hour, unless ``step`` says otherwise; aligned
to 1970 in UTC). Only periods that are over count, so reading one again gives an equal event. A
value that is absent or no finite number stays unknown, it is never 0; a period of which nothing
is known gives no event.

Alerts: the samples of ``ALERTS{alertstate="firing"}`` are read as they were stored, so that an
incident begins at the very evaluation at which Alertmanager was told of it, and has the same name
there (see ``alerts``). It started when its condition did (``ALERTS_FOR_STATE``, where the server
keeps that) and was detected when it fired; it is resolved at the first evaluation that did not
find it any more. An alert whose end nobody saw, for the server was down, stays open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import Field

from pytest_dora.delivery.collectors.alerts import (
    AlertOptions,
    Teller,
    milliseconds,
    moment_of,
    stamp,
)
from pytest_dora.delivery.collectors.base import Batch, CollectError, Cursor, Scope
from pytest_dora.delivery.collectors.occurrences import Run
from pytest_dora.delivery.collectors.prometheus_alerts import AlertHistory
from pytest_dora.delivery.collectors.prometheus_api import (
    MOST_POINTS,
    Alerting,
    PrometheusApi,
    filled,
)
from pytest_dora.delivery.collectors.servers import (
    Duration,
    bearer,
    options_of,
    place_of,
    server_of,
)
from pytest_dora.delivery.http import Api
from pytest_dora.model.base import Model
from pytest_dora.model.events import Event, HealthBody, QueryFailuresBody

TOKEN = "PROMETHEUS_TOKEN"
_DAY = 86_400
_LONGEST_BATCH = 7 * _DAY
_ROUNDING = 1e-9
_MEASURES = ("uptime", "requests", "errors", "p50_ms", "p99_ms")
_BUCKETS = 'sum by (le) (rate(http_request_duration_seconds_bucket{job="$app"}[$step]))'
_REQUESTS = 'sum(increase(http_requests_total{job="$app"}[$step]))'
_ERRORS = 'sum(increase(http_requests_total{job="$app",code=~"5.."}[$step]))'
_CODED = 'sum(increase(http_requests_total{job="$app",code!=""}[$step]))'


class PrometheusOptions(AlertOptions):
    """Options of a scope: one app on one server.

    In expressions, ``$app`` is the name of the app and ``$step`` the length of a period; an
    expression gives one series. None: not asked.
    """

    app: str | None = None
    """What ``$app`` stands for; the app of the scope unless given. It belongs between quotes."""
    step: Duration = Field(3600, ge=1, le=_LONGEST_BATCH)
    history: Duration = Field(30 * _DAY, ge=1)
    """How far back the first collection goes."""
    settle: Duration = Field(30, ge=0)
    """Seconds that a sample may take from its time to being readable."""
    uptime: str | None = 'avg(avg_over_time(up{job="$app"}[$step]))'
    """Share of the period, 0 to 1; the mean over the instances of the app."""
    requests: str | None = _REQUESTS
    errors: str | None = f"{_ERRORS} or 0 * {_CODED}"
    """0 only where requests are counted by their ``code``; else an absence is no 0."""
    p50_ms: str | None = f"1000 * histogram_quantile(0.5, {_BUCKETS})"
    p99_ms: str | None = f"1000 * histogram_quantile(0.99, {_BUCKETS})"
    queries: str | None = None
    """What counts queries to a data service has no common name: not asked unless given."""
    query_failures: str | None = None
    alerts: str | None = 'job="$app"'
    """Matchers of the app's alerts; empty: every alert of the server. None: no alerts."""
    external_labels: dict[str, str] | None = None
    """What the server adds to the labels of an alert that it sends to Alertmanager. Where this and
    ``evaluation_interval`` are given, a server need not tell its configuration."""
    evaluation_interval: Duration | None = Field(None, ge=1)


class _Place(Model):
    """The cursor: from when on to read periods (seconds) and alerts (milliseconds)."""

    health: int
    alerts: int
    open: tuple[Run, ...] = ()


class Prometheus:
    """Reads one app on one server; a token comes from ``PROMETHEUS_TOKEN`` (bearer).

    ``scope.name`` is the server's base address.
    """

    name = "prometheus"

    def collect(self, scope: Scope, cursor: Cursor | None, now: datetime) -> Iterator[Batch]:
        """Batches of at most a week, and one of the alerts since the last full period."""
        server = server_of(scope)
        options = options_of(PrometheusOptions, scope)
        app = options.app or scope.app_id
        if not app:
            raise CollectError(f"{server}: whose app is it? name one in the scope or as option app")
        place = None if cursor is None else place_of(_Place, cursor, scope)
        known = milliseconds(now) - options.settle * 1000
        with Api(server, name=self.name, headers=bearer(TOKEN), secret=TOKEN) as api:
            queries = PrometheusApi(api)
            teller = Teller(self.name, f"{self.name}/{server}", scope, options, now)
            alerts = None
            if options.alerts is not None:
                matchers = filled(options.alerts, app, options.step)
                alerts = AlertHistory(queries, matchers, teller, _alerting(options))
            reading = _Reading(queries, options, app, teller, alerts)
            yield from reading.batches(place or reading.beginning(known), known)


@dataclass(frozen=True)
class _Reading:
    """One collection."""

    api: PrometheusApi
    options: PrometheusOptions
    app: str
    teller: Teller
    alerts: AlertHistory | None

    def beginning(self, known: int) -> _Place:
        """Where a first collection begins: earlier for alerts that were active already then."""
        options = self.options
        start = (known // 1000 - options.history) // options.step * options.step
        since = start if self.alerts is None else self.alerts.active_since(start)
        # as far back again at most, for some alerts are always active by intent
        return _Place(health=start, alerts=max(since, start - options.history) * 1000)

    def batches(self, place: _Place, known: int) -> Iterator[Batch]:
        step = self.options.step
        start = -(-place.health // step) * step
        end = max(start, known // 1000 // step * step)
        longest = max(1, min(MOST_POINTS, _LONGEST_BATCH // step)) * step
        while start < end:
            until = min(start + longest, end)
            measured = [*self._health(start, until), *self._query_failures(start, until)]
            yield (batch := self._with_alerts(place, measured, until, until * 1000))
            place, start = _Place.model_validate(batch.cursor), until
        yield self._with_alerts(place, [], end, known)

    def _with_alerts(self, place: _Place, events: list[Event], health: int, until: int) -> Batch:
        still, told = place.open, list[Event]()
        if self.alerts is not None:
            still, told = self.alerts.read(place.alerts, until, place.open)
        place = _Place(health=health, alerts=max(place.alerts, until), open=still)
        cursor = place.model_dump(mode="json")
        return Batch((*events, *told), cursor, moment_of(health * 1000))

    def _values(self, name: str, start: int, until: int) -> Mapping[int, float]:
        expression = getattr(self.options, name)
        if expression is None:
            return {}
        step, highest = self.options.step, 1.0 if name == "uptime" else float("inf")
        ends = range(start + step, until + 1, step)
        asked = filled(expression, self.app, step)
        values = self.api.over_periods(name, asked, ends, step)
        for end, value in values.items():
            if not 0 <= value <= highest + _ROUNDING:
                raise CollectError(
                    f"prometheus: the expression of {name!r} gives {value:g} for the period to "
                    f"{stamp(moment_of(end * 1000))}, which is not within 0 and {highest:g}: {asked}"
                )
        return {end: min(value, highest) for end, value in values.items()}

    def _health(self, start: int, until: int) -> Iterator[Event]:
        values = {name: self._values(name, start, until) for name in _MEASURES}
        for end in sorted(set().union(*values.values())):
            measured: dict[str, Any] = {name: values[name].get(end) for name in _MEASURES}
            first, last = self._period(end)
            yield self._event(HealthBody(start=first, end=last, **measured))

    def _query_failures(self, start: int, until: int) -> Iterator[Event]:
        failures = self._values("query_failures", start, until)
        queries = self._values("queries", start, until) if failures else {}
        for end in sorted(failures):
            first, last = self._period(end)
            body = QueryFailuresBody(
                start=first, end=last, queries=queries.get(end), failures=failures[end]
            )
            yield self._event(body)

    def _period(self, end: int) -> tuple[datetime, datetime]:
        return moment_of((end - self.options.step) * 1000), moment_of(end * 1000)

    def _event(self, body: HealthBody | QueryFailuresBody) -> Event:
        scope = self.teller.scope
        whose = "/".join(filter(None, (self.app, scope.environment)))
        return Event(
            key=f"{self.teller.prefix}/{whose}/{body.kind}/{stamp(body.start)}",
            source=self.teller.source,
            app_id=scope.app_id,
            service=None if scope.app_id else f"{self.teller.source}:{self.app}",
            environment=scope.environment,
            occurred_at=body.end,
            observed_at=self.teller.observed_at,
            body=body,
        )


def _alerting(options: PrometheusOptions) -> Alerting | None:
    """What need not be asked of the server."""
    if options.external_labels is None or options.evaluation_interval is None:
        return None
    return Alerting(
        external_labels=options.external_labels, evaluation_ms=options.evaluation_interval * 1000
    )

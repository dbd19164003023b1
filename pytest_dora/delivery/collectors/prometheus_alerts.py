"""Alerts as Prometheus's history has them, told as incidents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

from pytest_dora.delivery.collectors.alerts import Alert, Teller, alert_of, moment_of
from pytest_dora.delivery.collectors.occurrences import Followed, Run, follow
from pytest_dora.delivery.collectors.prometheus_api import (
    Alerting,
    PrometheusApi,
    Series,
    exactly,
    selecting,
)
from pytest_dora.model.events import Event

_DAY = 86_400_000
_FIRING, _ACTIVE = "ALERTS", "ALERTS_FOR_STATE"
_ADDED = frozenset({"__name__", "alertstate"})

_Labels = tuple[tuple[str, str], ...]
_Samples = list[tuple[int, int | None]]


class AlertHistory:
    """The alerts of one server that meet some matchers. Times are milliseconds since 1970."""

    def __init__(
        self, api: PrometheusApi, matchers: str, teller: Teller, alerting: Alerting | None = None
    ) -> None:
        self._api = api
        self._matchers = matchers
        self._teller = teller
        self._said = alerting

    def active_since(self, moment: int) -> int:
        """Since when (seconds) one of them was active at a moment; the moment, if none was."""
        found = self._api.at(selecting(_ACTIVE, self._matchers), moment * 1000)
        values = [one.samples[-1][1] for one in found]
        return min((int(value) for value in values if math.isfinite(value)), default=moment)

    def read(
        self, start: int, until: int, still: Sequence[Run]
    ) -> tuple[tuple[Run, ...], list[Event]]:
        """What fires at the end of a span, and the incidents that began or ended within it.

        ``still`` is what fired at its start. Read a day at a time: samples are many.
        """
        events: list[Event] = []
        while start < until:
            end = min(start + _DAY, until)
            found = self._day(start, end, {_identity(run.labels): run for run in still})
            for one in found:
                events += self._told(one)
            still = [one.open for one in found if one.open is not None]
            start = end
        return tuple(still), events

    def _day(self, start: int, end: int, still: Mapping[_Labels, Run]) -> list[Followed]:
        named = f'__name__=~"{_FIRING}|{_ACTIVE}",alertstate!="pending"'
        matchers = f"{named},{self._matchers}" if self._matchers else named
        fired = _fired(self._api.raw(selecting("", matchers), start, end))
        return [
            follow(
                still.get(identity),
                dict(identity),
                fired.get(identity, []),
                until=end,
                interval=self._interval(dict(identity)),
                marked=self._marked,
            )
            for identity in sorted(still.keys() | fired.keys())
        ]

    def _told(self, followed: Followed) -> list[Event]:
        began = [
            self._teller.fired(
                self._alert(run), None if run.active is None else moment_of(run.active * 1000)
            )
            for run in followed.began
        ]
        ended = [
            self._teller.resolved(self._alert(one.run), moment_of(one.resolved))
            for one in followed.ended
            if one.resolved is not None
        ]
        return began + ended

    def _alert(self, run: Run) -> Alert:
        """With the labels that Alertmanager gets."""
        labels = {**self._server.external_labels, **run.labels}
        return alert_of(labels, moment_of(run.first))

    def _interval(self, labels: Mapping[str, str]) -> int:
        named = self._server.intervals_ms
        return named.get(labels.get("alertname", ""), self._server.evaluation_ms)

    @cached_property
    def _server(self) -> Alerting:
        """Asked only once there is an alert."""
        return self._said or self._api.alerting()

    def _marked(self, run: Run, moment: int) -> bool:
        """No longer shown at a moment, by a server that does have the samples before it."""
        selector = exactly(_FIRING, {**run.labels, "alertstate": "firing"})
        return not self._api.at(selector, moment) and bool(self._api.at(selector, run.last))


def _identity(labels: Mapping[str, str]) -> _Labels:
    return tuple(sorted((key, value) for key, value in labels.items() if key not in _ADDED))


def _fired(series: Sequence[Series]) -> dict[_Labels, _Samples]:
    """By alert: when it was found firing, and since when its condition held (seconds)."""
    active = {
        _identity(one.labels): {at: int(value) for at, value in one.samples if math.isfinite(value)}
        for one in series
        if one.labels["__name__"] == _ACTIVE
    }
    found: dict[_Labels, _Samples] = {}
    for one in series:
        if one.labels["__name__"] == _FIRING:
            since = active.get(_identity(one.labels), {})
            found[_identity(one.labels)] = [(at, since.get(at)) for at, _ in one.samples]
    return found

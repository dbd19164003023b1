"""Alertmanager: the alerts that fire now, from its API, and webhook payloads kept as files.

The list has no history: it holds what is not resolved yet. Its ``endsAt`` is no end, but until
when an alert counts as firing if nobody repeats it, so whatever is listed fires. An alert that
left the list ended at some moment after it was last seen, and Alertmanager no longer says when:

- By default such an incident stays open here. A webhook payload or Prometheus's history, which
  know the same incident by the same name, close it with the true time.
- With the option ``polled_every`` the evaluator says that the list is read at least that often.
  An alert that is gone after no longer than that is resolved at the time of the reading (late by
  at most that span, never early), unless Alertmanager was restarted in between, which empties the
  list. Such a time gives way to a true one.

For the same reason everything is known "up to now" only while the list is read that often; alerts
shorter than that may still be missed.

Silenced alerts are incidents: a silence keeps people from being told, not users from being hurt.
An inhibited alert is one too, a duplicate of the listed alert that inhibits it (unless that one
is inhibited as well: somebody has to be counted).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from pytest_dora.delivery.collectors.alerts import Alert, AlertOptions, Teller, alert_of
from pytest_dora.delivery.collectors.base import Batch, CollectError, Cursor, Scope
from pytest_dora.delivery.collectors.servers import (
    Duration,
    bearer,
    options_of,
    place_of,
    server_of,
)
from pytest_dora.delivery.http import Api
from pytest_dora.model.base import Model
from pytest_dora.model.events import Event, Utc

TOKEN = "ALERTMANAGER_TOKEN"
_SOURCE = "alertmanager"
_MOST_TOLD = 3


class AlertmanagerOptions(AlertOptions):
    """Options of a scope, which is one Alertmanager by its base address."""

    filter: tuple[str, ...] = ()
    """Matchers that an alert must meet, as ``service="shop"``; none: every alert."""
    polled_every: Duration | None = Field(None, gt=0)
    """Seconds within which the evaluator promises the next collection; None: no promise."""


class _Open(Model):
    labels: dict[str, str]
    fired_at: Utc
    fingerprint: str


class _Place(Model):
    """The cursor: when the list was last read, by which matchers, and what fired then."""

    seen: Utc
    filter: tuple[str, ...] = ()
    open: tuple[_Open, ...] = ()


class _Answer(Model):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class _Status(_Answer):
    inhibited_by: tuple[str, ...] = Field((), alias="inhibitedBy")


class _Listed(_Answer):
    labels: dict[str, str]
    starts_at: Utc = Field(alias="startsAt")
    fingerprint: str | None = None
    status: _Status = _Status()


class _Told(_Answer):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    starts_at: Utc = Field(alias="startsAt")
    ends_at: Utc | None = Field(None, alias="endsAt")
    fingerprint: str | None = None


class _Webhook(_Answer):
    version: Literal["4"]
    alerts: tuple[_Told, ...]


_LIST = TypeAdapter(tuple[_Listed, ...])


class Alertmanager:
    """Reads the list of one Alertmanager; a token comes from ``ALERTMANAGER_TOKEN`` (bearer)."""

    name = _SOURCE

    def collect(self, scope: Scope, cursor: Cursor | None, now: datetime) -> Iterator[Batch]:
        """One batch: what fires now, and what is known of what fired at the last reading."""
        server = server_of(scope)
        options = options_of(AlertmanagerOptions, scope)
        before = None if cursor is None else place_of(_Place, cursor, scope)
        with Api(server, name=self.name, headers=bearer(TOKEN), secret=TOKEN) as api:
            listed = _listed(api, options)
            watched = before is not None and _watched(api, before, options, now)
        teller = _teller(scope, options, now)
        alerts = {alert.incident: alert for alert, _ in listed}
        events = [teller.fired(alert) for alert in alerts.values()]
        events += _inhibitions(teller, listed)
        if before is not None and watched:
            gone = (alert for alert in map(_reopened, before.open) if alert.incident not in alerts)
            events += [teller.resolved(alert, now, known_at=before.seen) for alert in gone]
        place = _Place(
            seen=now,
            filter=options.filter,
            open=tuple(
                _Open(labels=dict(one.labels), fired_at=one.fired_at, fingerprint=one.fingerprint)
                for one in alerts.values()
            ),
        )
        yield Batch(tuple(events), place.model_dump(mode="json"), now if watched else None)


def incidents_of_webhook(
    payload: Mapping[str, Any], observed_at: datetime, scope: Scope | None = None
) -> tuple[Event, ...]:
    """Incidents of one webhook payload of Alertmanager (version 4), in its order.

    A resolved alert is told with its start too, for the notification of its start may be lost; a
    repeated notification gives equal events. Give the ``scope`` by which the same Alertmanager is
    collected, if it is: then its API and its webhooks say the same in the same words.
    Raises ValueError for what is no such payload, and for one that leaves alerts out
    (``max_alerts`` of the receiver).
    """
    try:
        webhook = _Webhook.model_validate(payload)
    except ValidationError as error:
        raise ValueError(f"no webhook payload of Alertmanager: {_wrong(error)}") from error
    if payload.get("truncatedAlerts"):
        raise ValueError(
            f"the payload leaves out {payload['truncatedAlerts']} alerts: "
            "set `max_alerts: 0` for its receiver"
        )
    known = scope or Scope(_SOURCE)
    options = AlertmanagerOptions() if scope is None else options_of(AlertmanagerOptions, scope)
    teller = _teller(known, options, observed_at)
    events: list[Event] = []
    for told in webhook.alerts:
        alert = alert_of(told.labels, told.starts_at, told.fingerprint)
        events.append(teller.fired(alert))
        if told.status == "resolved":
            if told.ends_at is None or told.ends_at < told.starts_at:
                raise ValueError(f"{alert.incident} is resolved, but endsAt is {told.ends_at}")
            events.append(teller.resolved(alert, told.ends_at))
    return tuple(events)


def _teller(scope: Scope, options: AlertOptions, observed_at: datetime) -> Teller:
    # without the server's address: webhooks do not know it, and two that share their alerts
    # (a cluster) say the same
    return Teller(_SOURCE, _SOURCE, scope, options, observed_at)


def _listed(api: Api, options: AlertmanagerOptions) -> list[tuple[Alert, tuple[str, ...]]]:
    """Every alert that is not resolved, silenced and inhibited ones too, with who inhibits it."""
    answer = api.get("api/v2/alerts", {"filter": list(options.filter)})
    try:
        listed = _LIST.validate_python(answer.body)
    except ValidationError as error:
        raise CollectError(f"{_SOURCE}: answered no list of alerts: {_wrong(error)}") from error
    return [
        (alert_of(one.labels, one.starts_at, one.fingerprint), one.status.inhibited_by)
        for one in listed
    ]


def _inhibitions(
    teller: Teller, listed: Sequence[tuple[Alert, tuple[str, ...]]]
) -> Iterator[Event]:
    free = {alert.fingerprint: alert for alert, inhibited_by in listed if not inhibited_by}
    for alert, inhibited_by in listed:
        by = next((free[one] for one in inhibited_by if one in free), None)
        if by is not None:
            yield teller.inhibited(alert, by)


def _watched(api: Api, before: _Place, options: AlertmanagerOptions, now: datetime) -> bool:
    """Whether the list was read often enough, and not emptied by a restart, since ``before``."""
    if options.polled_every is None or options.filter != before.filter:
        return False
    if not timedelta(0) <= now - before.seen <= timedelta(seconds=options.polled_every):
        return False
    started = (api.get("api/v2/status").body or {}).get("uptime")
    try:
        return TypeAdapter(Utc).validate_python(started) <= before.seen
    except ValidationError as error:
        raise CollectError(f"{_SOURCE}: its status does not say since when it runs") from error


def _reopened(one: _Open) -> Alert:
    return alert_of(one.labels, one.fired_at, one.fingerprint)


def _wrong(error: ValidationError) -> str:
    found = [
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
    ]
    more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    return "; ".join(found[:_MOST_TOLD]) + more

"""Alerts as incidents, with one identity whoever tells of an alert.

Alertmanager knows an alert by the fingerprint of its labels, and one occurrence of it by when it
started to fire. Prometheus writes the same labels and the same moment into its history, so an
incident is named by these two alone: what a webhook, Alertmanager's list and Prometheus's history
say of one occurrence meets in one incident. Everything said of it is read from its labels, which
never change; annotations do (they quote measured values) and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from pytest_dora.delivery.collectors.base import Scope
from pytest_dora.model.base import Model
from pytest_dora.model.events import Event, IncidentBody, IncidentKind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FNV_OFFSET, _FNV_PRIME = 14695981039346656037, 1099511628211
_LONGEST_NAME = 200


class AlertOptions(Model):
    """How the labels of alerts are read. A label that is absent or empty says nothing."""

    app_labels: tuple[str, ...] = ("app_id", "app", "service", "job")
    """The first of these names the service, where the scope does not name the app."""
    environment_labels: tuple[str, ...] = ("environment", "env")
    incident_kinds: dict[str, IncidentKind] = {}
    """Kind of incident by alert name, for alerts without a label ``incident_kind``."""


def milliseconds(moment: datetime) -> int:
    """Since 1970: the resolution at which Prometheus and Alertmanager's list know times."""
    return (moment - _EPOCH) // _MILLISECOND


def moment_of(milliseconds: int) -> datetime:
    return _EPOCH + milliseconds * _MILLISECOND


def stamp(moment: datetime) -> str:
    """A time as it stands in keys, cut to milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """The fingerprint that Alertmanager gives to a set of labels.

    64 bit FNV-1a over the names in order and their values, each followed by a byte 255
    (prometheus/common, model/signature.go).
    """
    value = _FNV_OFFSET
    for name in sorted(labels, key=str.encode):
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


@dataclass(frozen=True)
class Alert:
    """One occurrence of an alert: its labels as Alertmanager gets them, and when it fired."""

    labels: Mapping[str, str]
    fired_at: datetime
    fingerprint: str

    @cached_property
    def incident(self) -> str:
        return f"alert/{self.fingerprint}/{stamp(self.fired_at)}"


def alert_of(labels: Mapping[str, str], fired_at: datetime, known: str | None = None) -> Alert:
    """An alert; ``known`` is the fingerprint where its source says one."""
    cut = moment_of(milliseconds(fired_at))
    return Alert(dict(labels), cut, known or fingerprint_of(labels))


@dataclass(frozen=True)
class Teller:
    """Makes the events of one source; equal alerts give equal events."""

    source: str
    prefix: str
    """Of event keys: who tells it."""
    scope: Scope
    options: AlertOptions
    observed_at: datetime

    def fired(self, alert: Alert, began_at: datetime | None = None) -> Event:
        """The alert fires. ``began_at`` is since when its condition held, where that is known."""
        name = alert.labels.get("alertname", "")
        body = IncidentBody(
            incident=alert.incident,
            incident_kind=_kind_of(alert.labels, self.options),
            title=name[:2000] or None,
            severity=alert.labels.get("severity") or None,
            started_at=began_at or alert.fired_at,
            detected_at=alert.fired_at,
        )
        return self._event(alert, "firing", alert.fired_at, body)

    def resolved(self, alert: Alert, at: datetime, known_at: datetime | None = None) -> Event:
        """The alert ended. ``known_at`` places a time that is less sure before any surer one."""
        body = IncidentBody(incident=alert.incident, resolved_at=at)
        return self._event(alert, f"resolved/{stamp(at)}", known_at or at, body)

    def inhibited(self, alert: Alert, by: Alert) -> Event:
        """A rule of the operators says that ``by`` stands for this alert too."""
        body = IncidentBody(incident=alert.incident, duplicate_of=by.incident)
        both = max(alert.fired_at, by.fired_at)
        return self._event(alert, f"inhibited/{by.incident}", both, body)

    def _event(self, alert: Alert, what: str, occurred_at: datetime, body: IncidentBody) -> Event:
        app_id = self.scope.app_id
        return Event(
            key=f"{self.prefix}/{alert.incident}/{what}",
            source=self.source,
            app_id=app_id,
            service=None if app_id else self._service(alert.labels),
            environment=_first(alert.labels, self.options.environment_labels)
            or self.scope.environment,
            occurred_at=occurred_at,
            observed_at=self.observed_at,
            body=body,
        )

    def _service(self, labels: Mapping[str, str]) -> str | None:
        name = _first(labels, self.options.app_labels)
        return f"{self.source}:{name}" if name else None


def _kind_of(labels: Mapping[str, str], options: AlertOptions) -> IncidentKind | None:
    """Only what is said in so many words; the name of an alert alone says nothing of its kind."""
    said = labels.get("incident_kind", "")
    if said in tuple(IncidentKind):
        return IncidentKind(said)
    return options.incident_kinds.get(labels.get("alertname", ""))


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    found = (labels[name] for name in names if labels.get(name))
    return next((value for value in found if len(value) <= _LONGEST_NAME), None)

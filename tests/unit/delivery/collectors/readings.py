"""What Prometheus's collector reads, taken apart."""

from __future__ import annotations

from datetime import UTC, datetime

from pytest_dora.delivery.collectors import Batch, Scope
from pytest_dora.delivery.collectors.base import Cursor
from pytest_dora.delivery.collectors.prometheus import Prometheus
from pytest_dora.model.events import Event, HealthBody, IncidentBody


def now() -> datetime:
    return datetime.now(UTC)


def collected(
    scope: Scope, cursor: Cursor | None = None, moment: datetime | None = None
) -> list[Batch]:
    return list(Prometheus().collect(scope, cursor, moment or now()))


def events_of(batches: list[Batch]) -> list[Event]:
    return [event for batch in batches for event in batch.events]


def digests(batches: list[Batch]) -> dict[str, str]:
    return {event.key: event.digest() for event in events_of(batches)}


def health(batches: list[Batch]) -> list[HealthBody]:
    return [one.body for one in events_of(batches) if isinstance(one.body, HealthBody)]


def incidents(batches: list[Batch]) -> list[IncidentBody]:
    return [one.body for one in events_of(batches) if isinstance(one.body, IncidentBody)]

"""What goes into the tables and comes out of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import JsonValue, ValidationError

from pytest_dora.delivery.store.place import StoreError
from pytest_dora.model.events import Event, digest_of

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clock of a source may run ahead of ours."""


class Reason(StrEnum):
    """Why an event was not stored."""

    CONFLICTING_DUPLICATE = "conflicting_duplicate"
    """The store holds another event with its key; the first one stays."""
    FROM_THE_FUTURE = "from_the_future"
    """It happened after it was observed: a clock is wrong."""
    NUL_CHARACTER = "nul_character"
    """A name has a NUL character, which PostgreSQL cannot hold."""


@dataclass(frozen=True)
class Appended:
    """What became of the events that were given."""

    new: int = 0
    known: int = 0
    """Equal to one that was stored before, or given twice."""
    refused: Mapping[Reason, int] = field(default_factory=lambda: MappingProxyType({}))

    def __add__(self, other: Appended) -> Appended:
        refused = dict(self.refused)
        for reason, count in other.refused.items():
            refused[reason] = refused.get(reason, 0) + count
        return Appended(self.new + other.new, self.known + other.known, refused)


@dataclass(frozen=True)
class Progress:
    """How far a collector has come with a scope."""

    collector: str
    scope: str
    cursor: Mapping[str, JsonValue]
    data_through: datetime | None = None
    """Up to when everything is known (UTC); None: no further than before. It never goes back."""
    updated_at: datetime | None = None
    """When it was stored (UTC); the store sets it."""


@dataclass(frozen=True)
class Refusal:
    """An event that was not stored, so that it is not lost without a word."""

    key: str
    source: str
    reason: Reason
    message: str
    seen_at: datetime
    """When it was last observed."""
    times: int
    event: str
    """The event as JSON."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event that may be stored, and the row it would be."""

    event: Event
    row: dict[str, Any]

    @property
    def key(self) -> str:
        return self.event.key

    @property
    def digest(self) -> str:
        return str(self.row["digest"])


def candidate(event: Event) -> Candidate:
    """The columns are there to find events; the event itself is the JSON text."""
    said, observed_at = event.said(), written(event.observed_at)
    return Candidate(
        event,
        {
            "key": event.key,
            "kind": event.body.kind,
            "app_id": event.app_id,
            "service": event.service,
            "environment": event.environment,
            "source": event.source,
            "occurred_at": written(event.occurred_at),
            "observed_at": observed_at,
            "digest": digest_of(said),
            # the one member that it lacks, rather than all of them once more
            "event": f'{said[:-1]},"observed_at":"{observed_at}"}}',
        },
    )


def objection(event: Event) -> tuple[Reason, str] | None:
    """Why an event is refused whatever the store holds."""
    ahead = event.occurred_at - event.observed_at
    if ahead > CLOCK_SKEW:
        return (
            Reason.FROM_THE_FUTURE,
            f"happened {ahead.total_seconds():.0f} s after it was observed: a clock is wrong",
        )
    names = (event.app_id, event.service, event.environment)
    if any(name is not None and "\0" in name for name in names):
        return Reason.NUL_CHARACTER, "app_id, service or environment has a NUL character"
    return None


def refusal_row(one: Candidate, reason: Reason, message: str) -> dict[str, Any]:
    return {
        "key": one.key,
        "reason": reason.value,
        "digest": one.digest,
        "source": one.event.source,
        "message": message[:2000],
        "seen_at": one.row["observed_at"],
        "times": 1,
        "event": one.row["event"],
    }


def read_event(key: str, text: str, shown: str) -> Event:
    """The event of a row. Raises StoreError, naming its key, when it cannot be read."""
    try:
        event = Event.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StoreError(
            f"{shown}: the event {key!r} cannot be read ({where}: {first['msg']}): "
            "upgrade pytest-dora if a newer one stored it"
        ) from error
    if event.key != key:
        raise StoreError(f"{shown}: the row {key!r} holds the event {event.key!r}: it was changed")
    return event


def differences(one: Event, other: Event) -> Iterator[str]:
    """The fields that two events say differently; when they were observed is none of them."""
    left, right = (
        said.model_dump(mode="json", exclude={"observed_at"}, exclude_none=True)
        for said in (one, other)
    )
    for name in sorted((left.keys() | right.keys()) - {"body"}):
        if left.get(name) != right.get(name):
            yield name
    for name in sorted(left["body"].keys() | right["body"].keys()):
        if left["body"].get(name) != right["body"].get(name):
            yield f"body.{name}"


def written(moment: datetime) -> str:
    """A time as text whose order is that of time. Raises ValueError when it has no zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no zone: give it in UTC")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def progress_row(progress: Progress, now: datetime) -> dict[str, Any]:
    return {
        "collector": progress.collector,
        "scope": progress.scope,
        "cursor": json.dumps(dict(progress.cursor), allow_nan=False),
        "data_through": progress.data_through and written(progress.data_through),
        "updated_at": written(now),
    }


def read_progress(row: Mapping[str, Any], shown: str) -> Progress:
    through = row["data_through"]
    try:
        return Progress(
            row["collector"],
            row["scope"],
            json.loads(row["cursor"]),
            through and datetime.fromisoformat(through),
            datetime.fromisoformat(row["updated_at"]),
        )
    except ValueError as error:
        name = f"{row['collector']} {row['scope']}"
        raise StoreError(f"{shown}: the progress of {name} cannot be read: {error}") from error

"""Our own events, one a line: nothing is lost on the way out and back."""

from __future__ import annotations

from datetime import datetime

from pytest_dora.delivery.exchange.edge import Payload
from pytest_dora.model.events import Event


def recognises(payload: Payload) -> bool:
    return "key" in payload and "body" in payload


def events(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    """The event, observed when it says so, else now."""
    return (Event.model_validate({"observed_at": observed_at, **payload}),)


def line(event: Event) -> str:
    """The event as one line of JSON, without what it leaves unsaid."""
    return event.model_dump_json(exclude_none=True)

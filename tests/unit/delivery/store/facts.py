"""Events for the tests of the store, made of a number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_dora.model.events import DeploymentBody, Event

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def deployment(number: int, version: str = "v1", **changes: Any) -> Event:
    """The deployment ``number``, some seconds after noon; later numbers may have happened earlier."""
    moment = changes.get("occurred_at", NOON + timedelta(seconds=number * 7919 % 1000))
    fields: dict[str, Any] = {
        "key": f"fly:shop/release/{number}",
        "source": "fly",
        "service": "fly:shop",
        "environment": "production",
        "occurred_at": moment,
        "observed_at": moment + timedelta(minutes=1),
        "body": DeploymentBody(deployment=f"fly:shop/release/{number}", version=version),
    }
    return Event(**(fields | changes))

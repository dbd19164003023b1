"""Short ways to write events: times are days, hours or minutes after one Monday."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from pytest_dora.model import events as facts
from pytest_dora.model.events import Cause, DeploymentState, Event, IncidentKind

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
_numbers = itertools.count()


def at(days: float = 0, hours: float = 0, minutes: float = 0) -> datetime:
    return MONDAY + timedelta(days=days, hours=hours, minutes=minutes)


def event(
    body: Any, moment: datetime, *, key: str | None = None, app: str | None = "shop", **more: Any
) -> Event:
    return Event(
        key=key or f"event/{next(_numbers)}",
        source=more.pop("source", "record"),
        app_id=app,
        occurred_at=moment,
        observed_at=max(moment, at(400)),
        body=body,
        **more,
    )


def deployed(
    name: str,
    moment: datetime,
    *,
    state: DeploymentState = DeploymentState.SUCCESS,
    took: timedelta = timedelta(minutes=2),
    environment: str = "production",
    source: str = "record",
    app: str = "shop",
    **more: Any,
) -> list[Event]:
    """A deployment that ended at ``moment``; its version is its name unless another is given."""
    more.setdefault("version", name)
    body = facts.DeploymentBody(deployment=f"deployment/{name}", started_at=moment - took, **more)
    status = facts.DeploymentStatusBody(deployment=f"deployment/{name}", state=state)
    common: dict[str, Any] = {"environment": environment, "source": source, "app": app}
    return [
        event(body, moment - took, key=f"deployment/{name}", **common),
        event(status, moment, key=f"deployment/{name}/{state.value}", **common),
    ]


def incident(
    name: str,
    started: datetime | None,
    resolved: datetime | None = None,
    *,
    caused_by: str | None = None,
    kind: IncidentKind = IncidentKind.OUTAGE,
    app: str = "shop",
    **more: Any,
) -> Event:
    body = facts.IncidentBody(
        incident=f"incident/{name}",
        incident_kind=kind,
        started_at=started,
        resolved_at=resolved,
        caused_by=Cause(version=caused_by) if caused_by else None,
        **more,
    )
    moment = resolved or started or at()
    return event(body, moment, key=f"incident/{name}/{moment.isoformat()}", app=app)

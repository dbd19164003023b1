"""Incidents of PagerDuty: webhooks (v3), and rows of its REST interface.

An incident is resolved at ``resolved_at``, at the time of the event that resolved it, or at the
last change of its status, which for a resolved one is that. ``updated_at`` is never the answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from pytest_dora.delivery.exchange.edge import Foreign, Payload, Unusable, key_part
from pytest_dora.model import events as facts
from pytest_dora.model.events import Event, Utc


class _Service(Foreign):
    id: str = Field(min_length=1)


class _Priority(Foreign):
    summary: str | None = None


class _Incident(Foreign):
    id: str = Field(min_length=1)
    title: str | None = None
    status: str
    created_at: Utc
    resolved_at: Utc | None = None
    last_status_change_at: Utc | None = None
    service: _Service
    priority: _Priority | None = None
    urgency: str | None = None
    html_url: str | None = None


class _Webhook(Foreign):
    id: str = Field(min_length=1)
    event_type: str
    occurred_at: Utc
    data: dict[str, Any]


def recognises(payload: Payload) -> bool:
    event = payload.get("event")
    if isinstance(event, dict):
        return "event_type" in event and "occurred_at" in event
    return payload.get("type") == "incident" and "incident_number" in payload


def events(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    event = payload.get("event")
    if isinstance(event, dict):
        return (_of_webhook(_Webhook.model_validate(event), observed_at),)
    return (_of_row(_Incident.model_validate(payload), observed_at),)


def _of_webhook(read: _Webhook, observed_at: datetime) -> Event:
    kind = read.event_type
    if not kind.startswith("incident.") or read.data.get("type") != "incident":
        raise Unusable(f"{kind} tells no state of an incident")
    if kind == "incident.reopened":
        raise Unusable("a reopened incident has no end that could be taken back; its next "
                       "resolution corrects the end")  # fmt: skip
    incident = _Incident.model_validate(read.data)
    resolved_at = incident.resolved_at or read.occurred_at if kind == "incident.resolved" else None
    key = f"pagerduty/event/{key_part(read.id)}"
    return _event(incident, key, read.occurred_at, resolved_at, observed_at)


def _of_row(incident: _Incident, observed_at: datetime) -> Event:
    resolved_at = None
    if incident.status == "resolved":
        resolved_at = incident.resolved_at or incident.last_status_change_at
        if resolved_at is None:
            raise Unusable("the incident is resolved and has neither resolved_at nor "
                           "last_status_change_at: nothing says when")  # fmt: skip
    moment = resolved_at or incident.created_at
    key = f"{_entity(incident)} {key_part(incident.status)} {moment.isoformat()}"
    return _event(incident, key, moment, resolved_at, observed_at)


def _entity(incident: _Incident) -> str:
    return f"pagerduty/incident/{key_part(incident.id)}"


def _event(
    incident: _Incident,
    key: str,
    occurred_at: datetime,
    resolved_at: datetime | None,
    observed_at: datetime,
) -> Event:
    priority = incident.priority.summary if incident.priority else None
    return Event(
        key=key,
        source="pagerduty",
        service=f"pagerduty:{incident.service.id}",
        occurred_at=occurred_at,
        observed_at=observed_at,
        body=facts.IncidentBody(
            incident=_entity(incident),
            title=incident.title,
            severity=priority or incident.urgency,
            detected_at=incident.created_at,
            resolved_at=resolved_at,
            url=incident.html_url,
        ),
    )

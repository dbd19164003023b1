"""Incidents of Opsgenie, as rows of its REST interface.

An incident lasts from ``impactStartDate`` to ``impactEndDate``; ``updatedAt`` is never the answer.
One that hits several services is one incident of each.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from pytest_dora.delivery.exchange.edge import Foreign, Payload, Unusable, key_part
from pytest_dora.model import events as facts
from pytest_dora.model.events import Event, Utc

_OVER = ("resolved", "closed")


class _Links(Foreign):
    web: str | None = None


class _Incident(Foreign):
    id: str = Field(min_length=1)
    message: str
    status: str
    created_at: Utc = Field(validation_alias="createdAt")
    impact_start_date: Utc | None = Field(None, validation_alias="impactStartDate")
    impact_end_date: Utc | None = Field(None, validation_alias="impactEndDate")
    priority: str | None = None
    impacted_services: tuple[str, ...] = Field((), validation_alias="impactedServices")
    links: _Links = _Links()


def recognises(payload: Payload) -> bool:
    return {"tinyId", "impactedServices", "createdAt"} <= payload.keys()


def events(payload: Payload, observed_at: datetime) -> tuple[Event, ...]:
    incident = _Incident.model_validate(payload)
    if incident.status in _OVER and incident.impact_end_date is None:
        raise Unusable(f"the incident is {incident.status} and has no impactEndDate: nothing says "
                       "when it ended")  # fmt: skip
    services = tuple(dict.fromkeys(incident.impacted_services)) or (None,)
    several = len(services) > 1
    return tuple(_event(incident, service, several, observed_at) for service in services)


def _event(incident: _Incident, service: str | None, several: bool, observed_at: datetime) -> Event:
    entity = f"opsgenie/incident/{key_part(incident.id)}"
    if several:
        entity += f"/service/{key_part(str(service))}"
    ended = incident.impact_end_date if incident.status in _OVER else None
    moment = ended or incident.created_at
    return Event(
        key=f"{entity} {key_part(incident.status)} {moment.isoformat()}",
        source="opsgenie",
        service=None if service is None else f"opsgenie:{service}",
        occurred_at=moment,
        observed_at=observed_at,
        body=facts.IncidentBody(
            incident=entity,
            title=incident.message,
            severity=incident.priority,
            started_at=incident.impact_start_date,
            detected_at=incident.created_at,
            resolved_at=ended,
            url=incident.links.web,
        ),
    )

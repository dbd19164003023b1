from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_dora.model.events import Event, IncidentBody
from tests.unit.delivery.exchange.samples import only, read, refusal
from tests.vectors import rows

INCIDENT: dict[str, Any] = {
    "id": "i-1",
    "tinyId": "1",
    "message": "down",
    "status": "open",
    "createdAt": "2026-01-01T12:05:00Z",
    "updatedAt": "2026-01-09T00:00:00Z",
    "impactStartDate": "2026-01-01T12:00:00Z",
    "priority": "P1",
    "impactedServices": ["s-1"],
    "links": {"web": "https://acme.opsgenie.example/i-1"},
}


def body_of(event: Event) -> IncidentBody:
    assert isinstance(event.body, IncidentBody)
    return event.body


def test_an_incident_begins_with_its_impact_and_is_noticed_when_it_was_made() -> None:
    event = only(read(INCIDENT))
    said = body_of(event)
    assert event.service == "opsgenie:s-1"
    assert said.started_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert said.detected_at == datetime(2026, 1, 1, 12, 5, tzinfo=UTC)
    assert said.resolved_at is None


@pytest.mark.parametrize("status", ["resolved", "closed"])
def test_an_incident_that_is_over_ends_with_its_impact(status: str) -> None:
    over = {**INCIDENT, "status": status}
    assert f"is {status} and has no impactEndDate" in refusal(read(over))
    ended = body_of(only(read({**over, "impactEndDate": "2026-01-01T12:30:00Z"})))
    assert ended.resolved_at == datetime(2026, 1, 1, 12, 30, tzinfo=UTC)


def test_an_incident_of_two_services_is_one_of_each() -> None:
    found = read({**INCIDENT, "impactedServices": ["s-1", "s-2"]})
    told = [one for one in found if isinstance(one, Event)]
    assert [one.service for one in told] == ["opsgenie:s-1", "opsgenie:s-2"]
    assert len({one.key for one in told}) == len({body_of(one).incident for one in told}) == 2


def test_real_incidents_are_read_as_devlake_reads_them_but_for_their_end() -> None:
    raw = [
        json.loads(row["data"])
        for row in rows("10_real_payloads", "devlake_opsgenie/_raw_opsgenie_incidents.csv")
    ]
    expected = rows("10_real_payloads", "devlake_opsgenie/expected/_tool_opsgenie_incidents.csv")
    assert len(raw) == len(expected) == 2
    for row, event in zip(expected, read(*raw), strict=True):
        assert isinstance(event, Event)
        said = body_of(event)
        assert (said.title, said.severity, said.url) == (
            row["message"], row["priority"], row["url"],
        )  # fmt: skip
        assert event.service == f"opsgenie:{row['service_id']}"
        assert said.detected_at == datetime.fromisoformat(row["created_date"])
        assert (said.resolved_at is not None) == (row["status"] == "resolved")

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime
from typing import Any

from pytest_dora.model.events import Event, IncidentBody
from tests.unit.delivery.exchange.samples import only, read, refusal
from tests.vectors import rows

INCIDENT: dict[str, Any] = {
    "id": "P1",
    "type": "incident",
    "incident_number": 4,
    "title": "down",
    "status": "triggered",
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-09T00:00:00Z",
    "last_status_change_at": "2026-01-01T12:00:00Z",
    "service": {"id": "S1", "summary": "shop"},
    "urgency": "high",
    "html_url": "https://acme.pagerduty.example/incidents/P1",
}


def body_of(event: Event) -> IncidentBody:
    assert isinstance(event.body, IncidentBody)
    return event.body


def webhook(kind: str, data: dict[str, Any], at: str = "2026-01-01T13:00:00Z") -> dict[str, Any]:
    return {"event": {"id": f"E-{kind}", "event_type": kind, "resource_type": "incident",
                      "occurred_at": at, "data": data}}  # fmt: skip


def test_an_open_incident_is_open() -> None:
    event = only(read(INCIDENT))
    assert event.service == "pagerduty:S1"
    assert body_of(event) == IncidentBody(
        incident="pagerduty/incident/P1",
        title="down",
        severity="high",
        detected_at=event.occurred_at,
        url=INCIDENT["html_url"],
    )


def test_a_resolved_incident_ends_when_it_was_resolved_and_never_when_it_was_updated() -> None:
    resolved = {**INCIDENT, "status": "resolved", "last_status_change_at": "2026-01-01T12:40:00Z"}
    assert body_of(only(read(resolved))).resolved_at == datetime(2026, 1, 1, 12, 40, tzinfo=UTC)
    said = {**resolved, "resolved_at": "2026-01-01T12:30:00Z"}
    assert body_of(only(read(said))).resolved_at == datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    silent = {**resolved, "last_status_change_at": None}
    assert "nothing says when" in refusal(read(silent))


def test_a_webhook_resolves_at_its_own_time_and_is_named_by_its_event() -> None:
    event = only(read(webhook("incident.resolved", {**INCIDENT, "status": "resolved"})))
    assert event.key == "pagerduty/event/E-incident.resolved"
    assert body_of(event).resolved_at == datetime(2026, 1, 1, 13, tzinfo=UTC)
    triggered = body_of(only(read(webhook("incident.triggered", INCIDENT))))
    assert (triggered.incident, triggered.resolved_at) == ("pagerduty/incident/P1", None)


def test_webhooks_that_tell_no_state_are_refused() -> None:
    note = webhook("incident.annotated", {"type": "incident_note", "content": "?"})
    assert "incident.annotated tells no state" in refusal(read(note))
    assert "reopened" in refusal(read(webhook("incident.reopened", INCIDENT)))


def test_the_rows_of_an_answer_are_incidents() -> None:
    found = read({"incidents": [INCIDENT, {**INCIDENT, "id": "P2"}], "more": False})
    assert [one.body.incident for one in found if isinstance(one, Event)
            and isinstance(one.body, IncidentBody)] == [
        "pagerduty/incident/P1", "pagerduty/incident/P2",
    ]  # fmt: skip


def test_real_incidents_are_read_as_devlake_reads_them_but_for_their_end() -> None:
    csv.field_size_limit(sys.maxsize)
    raw = [
        json.loads(row["data"])
        for row in rows("10_real_payloads", "devlake_pagerduty/_raw_pagerduty_incidents.csv")
    ]
    expected = rows("10_real_payloads", "devlake_pagerduty/expected/_tool_pagerduty_incidents.csv")
    assert len(raw) == len(expected) == 3
    for row, event in zip(expected, read(*raw), strict=True):
        assert isinstance(event, Event)
        said = body_of(event)
        assert said.url == row["url"]
        assert event.service == f"pagerduty:{row['service_id']}"
        assert said.severity == row["urgency"]
        assert said.detected_at == datetime.fromisoformat(row["created_date"])
        # theirs is the row's last change whatever its status, ours the end of a resolved one
        changed = datetime.fromisoformat(row["updated_date"])
        assert said.resolved_at == (changed if row["status"] == "resolved" else None)

from __future__ import annotations

from typing import Any

from pytest_dora.model.events import Event, IncidentBody
from tests.unit.delivery.exchange.samples import NOW, read, refusal
from tests.vectors import values

ALERT: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "Down", "service": "shop"},
    "annotations": {},
    "startsAt": "2026-01-01T12:00:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": "00000000000000aa",
}
PAYLOAD: dict[str, Any] = {"version": "4", "groupKey": "{}", "status": "firing", "alerts": [ALERT]}


def resolved_in(document: dict[str, Any]) -> list[bool]:
    return [
        one.body.resolved_at is not None
        for one in read(document)
        if isinstance(one, Event) and isinstance(one.body, IncidentBody)
    ]


def test_a_payload_tells_of_its_alerts() -> None:
    assert resolved_in(PAYLOAD) == [False]
    over = {**ALERT, "status": "resolved", "endsAt": "2026-01-01T12:30:00Z"}
    assert resolved_in({**PAYLOAD, "alerts": [over]}) == [False, True]


def test_a_payload_that_leaves_alerts_out_is_refused_at_its_place() -> None:
    reason = refusal(read({**PAYLOAD, "truncatedAlerts": 2}))
    assert reason.startswith("file: the payload leaves out 2 alerts")


def test_recorded_payloads_are_read_as_the_collector_reads_them() -> None:
    from pytest_dora.delivery.collectors.alertmanager import incidents_of_webhook

    recorded = values("10_real_payloads", "alertmanager/recorded_webhooks.json")["webhooks"]
    payloads = [webhook["body"] for webhook in recorded]
    assert len(payloads) == 4
    assert read(*payloads) == [
        event for payload in payloads for event in incidents_of_webhook(payload, NOW)
    ]

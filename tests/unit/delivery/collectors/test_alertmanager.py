"""A real Alertmanager: what it lists, what it no longer lists, and what its webhooks say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_dora.delivery.collectors import Batch, CollectError, Scope
from pytest_dora.delivery.collectors.alertmanager import Alertmanager, incidents_of_webhook
from pytest_dora.delivery.collectors.base import Cursor
from pytest_dora.delivery.fold import fold
from pytest_dora.model.events import Event, IncidentBody, IncidentKind
from tests import vectors
from tests.unit.delivery.collectors.monitors import (
    Quiet,
    Server,
    Webhooks,
    alertmanager,
    eventually,
    free_port,
    posted,
)

VECTORS = os.environ.get("PYTEST_DORA_VECTORS", "")
CONFIG = """
route: {receiver: hook, group_by: [service], group_wait: 100ms, group_interval: 1s}
receivers:
- name: hook
  webhook_configs: [{url: '%s', send_resolved: true}]
inhibit_rules:
- source_matchers: ['alertname="HostDown"']
  target_matchers: ['alertname="Slow"']
  equal: [service]
"""
LABELS = {"alertname": "HighErrorRate", "service": "shop", "severity": "critical"}
MINUTE = timedelta(minutes=1)


def now() -> datetime:
    return datetime.now(UTC)


def text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def send(server: str, labels: dict[str, str], start: datetime, end: datetime | None = None) -> None:
    alert = {"labels": labels, "annotations": {"summary": "5 %"}, "startsAt": text(start)}
    posted(f"{server}/api/v2/alerts", [{**alert, **({"endsAt": text(end)} if end else {})}])


def collected(scope: Scope, cursor: Cursor | None = None, moment: datetime | None = None) -> Batch:
    (batch,) = Alertmanager().collect(scope, cursor, moment or now())
    return batch


def bodies(events: tuple[Event, ...]) -> list[IncidentBody]:
    return [one.body for one in events if isinstance(one.body, IncidentBody)]


def stored(batch: Batch) -> Cursor:
    return json.loads(json.dumps(batch.cursor))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def hooks() -> Iterator[Webhooks]:
    receiver = Webhooks()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, hooks: Webhooks) -> Iterator[str]:
    with alertmanager(tmp_path_factory.mktemp("am"), CONFIG % hooks.url) as url:
        yield url


def only(manager: str, service: str, **options: Any) -> Scope:
    """The alerts of one test among those of all."""
    return Scope(manager, options={"filter": [f'service="{service}"'], **options})


def gone(scope: Scope) -> Batch:
    """The first reading that lists nothing more."""
    return eventually(
        lambda: batch if not (batch := collected(scope)).cursor["open"] else None, "empty list"
    )


# --- the list -------------------------------------------------------------------------------


def test_an_alert_that_fires_is_an_open_incident(manager: str) -> None:
    start = now() - MINUTE
    labels = {**LABELS, "service": "fires", "env": "production", "incident_kind": "outage"}
    send(manager, labels, start)
    batch = collected(only(manager, "fires"))
    (event,) = batch.events
    (body,) = bodies(batch.events)
    assert body.started_at == body.detected_at == event.occurred_at
    assert timedelta(0) <= start - event.occurred_at < timedelta(milliseconds=1)
    assert (body.title, body.severity) == ("HighErrorRate", "critical")
    assert (body.incident_kind, body.resolved_at) == (IncidentKind.OUTAGE, None)
    assert (event.app_id, event.service) == (None, "alertmanager:fires")
    assert event.environment == "production"
    again = collected(only(manager, "fires"), stored(batch))
    assert [one.digest() for one in again.events] == [event.digest()]


def test_the_scope_names_the_app_and_the_evaluator_the_kind(manager: str) -> None:
    send(manager, {**LABELS, "service": "named"}, now() - MINUTE)
    kinds = {"HighErrorRate": "degradation"}
    options: dict[str, Any] = {"filter": ['service="named"'], "incident_kinds": kinds}
    scope = Scope(manager, app_id="shop", environment="staging", options=options)
    (event,) = collected(scope).events
    assert (event.app_id, event.service, event.environment) == ("shop", None, "staging")
    assert bodies((event,))[0].incident_kind is IncidentKind.DEGRADATION
    (event,) = collected(only(manager, "named")).events
    assert bodies((event,))[0].incident_kind is None


def test_an_end_in_the_future_is_no_end(manager: str) -> None:
    # as Prometheus sends it: fires on until then if nobody repeats it
    send(manager, {**LABELS, "service": "lease"}, now() - MINUTE, now() + MINUTE)
    batch = collected(only(manager, "lease"), None, now() + 2 * MINUTE)
    assert [one.resolved_at for one in bodies(batch.events)] == [None]


def test_one_alert_that_fires_twice_is_two_incidents(manager: str) -> None:
    scope = only(manager, "twice")
    first, second = now() - 3 * MINUTE, now() - MINUTE
    send(manager, {**LABELS, "service": "twice"}, first)
    before = collected(scope)
    send(manager, {**LABELS, "service": "twice"}, first, first + MINUTE)
    gone(scope)
    send(manager, {**LABELS, "service": "twice"}, second)
    after = collected(scope, stored(before))
    told = [one.incident for one in bodies((*before.events, *after.events))]
    assert len(set(told)) == len(told) == 2
    assert told[0].split("/")[:2] == told[1].split("/")[:2]


def test_a_silenced_alert_is_an_incident(manager: str) -> None:
    send(manager, {**LABELS, "service": "silent"}, now() - MINUTE)
    matcher = {"name": "service", "value": "silent", "isRegex": False}
    silence = {"matchers": [matcher], "startsAt": text(now()), "endsAt": text(now() + MINUTE)}
    posted(f"{manager}/api/v2/silences", {**silence, "createdBy": "me", "comment": "known"})
    assert len(collected(only(manager, "silent")).events) == 1


def test_an_inhibited_alert_is_a_duplicate_of_the_one_that_inhibits_it(manager: str) -> None:
    send(manager, {"alertname": "HostDown", "service": "host"}, now() - 2 * MINUTE)
    send(manager, {"alertname": "Slow", "service": "host"}, now() - MINUTE)
    scope = only(manager, "host")
    batch = eventually(
        lambda: batch if len((batch := collected(scope)).events) == 3 else None, "inhibition"
    )
    names = {one.title: one.incident for one in bodies(batch.events) if one.title}
    (duplicate,) = [one for one in bodies(batch.events) if one.duplicate_of]
    assert (duplicate.incident, duplicate.duplicate_of) == (names["Slow"], names["HostDown"])
    (counted,) = fold("host", batch.events).incidents
    assert counted.title == "HostDown"


# --- what left the list ---------------------------------------------------------------------


def resolved(manager: str, service: str, **options: Any) -> tuple[Batch, Batch, datetime]:
    """A reading while an alert fired, one after it had ended, and when it ended."""
    scope = only(manager, service, **options)
    start = now() - 5 * MINUTE
    send(manager, {**LABELS, "service": service}, start)
    before = collected(scope)
    assert len(before.events) == 1
    end = now()
    send(manager, {**LABELS, "service": service}, start, end)
    gone(scope)
    return before, collected(scope, stored(before)), end


def test_an_alert_that_left_the_list_stays_open_for_nobody_says_when_it_ended(
    manager: str,
) -> None:
    before, after, _ = resolved(manager, "left")
    assert after.events == ()
    assert (before.data_through, after.data_through) == (None, None)


def test_an_alert_that_left_a_list_read_often_ended_by_the_reading(manager: str) -> None:
    before, after, end = resolved(manager, "often", polled_every="1m")
    (event,) = after.events
    (body,) = bodies(after.events)
    assert body.incident == bodies(before.events)[0].incident
    assert body.resolved_at == event.observed_at == after.data_through
    assert end <= body.resolved_at  # type: ignore[operator]
    assert before.data_through is None


def test_the_true_end_wins_over_the_reading_that_missed_it(manager: str, hooks: Webhooks) -> None:
    before, after, end = resolved(manager, "hooked", polled_every="1m")
    payload = eventually(
        lambda: next(
            (
                one
                for one in hooks.payloads
                if one["status"] == "resolved" and one["groupLabels"] == {"service": "hooked"}
            ),
            None,
        ),
        "notification",
    )
    told = incidents_of_webhook(payload, now(), only(manager, "hooked"))
    assert told[0].digest() == before.events[0].digest()
    for events in ((*before.events, *after.events, *told), (*told, *after.events, *before.events)):
        (incident,) = fold("hooked", events).incidents
        assert incident.resolved_at == end


def test_a_list_that_was_read_too_seldom_or_otherwise_tells_no_end(manager: str) -> None:
    before, _, _ = resolved(manager, "seldom", polled_every="1m")
    late = datetime.fromisoformat(str(before.cursor["seen"])) + timedelta(seconds=61)
    often = only(manager, "seldom", polled_every="1m")
    assert collected(often, stored(before), late) == Batch(
        (), {**collected(often, None, late).cursor}, None
    )
    other = only(manager, "elsewhere", polled_every="1m")
    assert collected(other, stored(before)).events == ()


def test_a_restart_that_empties_the_list_ends_no_alert(tmp_path: Path, hooks: Webhooks) -> None:
    port = free_port()
    with alertmanager(tmp_path, CONFIG % hooks.url, port=port) as manager:
        scope = Scope(manager, options={"polled_every": "1m"})
        send(manager, LABELS, now() - MINUTE)
        before = collected(scope)
        assert len(before.events) == 1
    with alertmanager(tmp_path, CONFIG % hooks.url, port=port):
        after = collected(scope, stored(before))
    assert (after.events, after.data_through) == ((), None)


# --- webhooks -------------------------------------------------------------------------------


def told(status: str, end: str = "0001-01-01T00:00:00Z", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {**LABELS, **labels},
        "annotations": {"summary": "5 %"},
        "startsAt": "2026-03-01T10:00:00.1234567Z",
        "endsAt": end,
        "generatorURL": "",
    }


def payload(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "receiver": "w", "alerts": list(alerts)}


def test_a_webhook_tells_each_of_its_alerts() -> None:
    end = "2026-03-01T10:30:00Z"
    events = incidents_of_webhook(
        payload(told("firing"), told("resolved", end, instance="i2")), now()
    )
    assert [(one.body.kind, one.key.split("/")[-2:]) for one in events] == [
        ("incident", ["2026-03-01T10:00:00.123Z", "firing"]),
        ("incident", ["2026-03-01T10:00:00.123Z", "firing"]),
        ("incident", ["resolved", "2026-03-01T10:30:00.000Z"]),
    ]
    first, second, last = bodies(events)
    assert first.incident != second.incident == last.incident
    assert last.resolved_at == datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    assert {one.service for one in events} == {"alertmanager:shop"}


def test_a_repeated_notification_says_nothing_new() -> None:
    changed = told("firing") | {"annotations": {"summary": "7 %"}, "generatorURL": "http://b"}
    first = incidents_of_webhook(payload(told("firing")), now())
    later = incidents_of_webhook(payload(changed), now() + MINUTE)
    assert [one.digest() for one in first] == [one.digest() for one in later]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"version": "3"}, "version: Input should be '4'"),
        ({"alerts": "none"}, "alerts: "),
        ({"truncatedAlerts": 2}, "leaves out 2 alerts.*max_alerts: 0"),
        ({"alerts": [told("suppressed")]}, "alerts.0.status: "),
        ({"alerts": [told("firing") | {"startsAt": "2026-03-01T10:00:00"}]}, "needs a zone"),
        ({"alerts": [told("resolved")]}, "is resolved, but endsAt is 0001"),
    ],
)
def test_what_is_no_whole_payload_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        incidents_of_webhook(payload(told("firing")) | wrong, now())


def test_recorded_webhooks_are_two_incidents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DORA_VECTORS", VECTORS)
    recorded = vectors.values("10_real_payloads/alertmanager", "recorded_webhooks.json")
    events = [
        event for one in recorded["webhooks"] for event in incidents_of_webhook(one["body"], now())
    ]
    assert len(events) == 8
    assert len({event.key for event in events}) == len({event.digest() for event in events}) == 4
    incidents = fold("app-a", events).incidents
    day = datetime(2026, 11, 23, tzinfo=UTC)
    assert [(one.key, one.began_at, one.resolved_at, one.severity) for one in incidents] == [
        (
            "alert/dd0804dcb2cc4894/2026-11-23T13:56:56.000Z",
            day.replace(hour=13, minute=56, second=56),
            day.replace(hour=14, minute=9, second=3),
            "critical",
        ),
        (
            "alert/84ede1746a5fe7ec/2026-11-23T14:05:56.000Z",
            day.replace(hour=14, minute=5, second=56),
            day.replace(hour=14, minute=9, second=7),
            "critical",
        ),
    ]
    # half of the second payload's notifications were repetitions of the first
    partly = [
        event
        for one in recorded["webhooks"][:3]
        for event in incidents_of_webhook(one["body"], now())
    ]
    assert [one.resolved_at is None for one in fold("app-a", partly).incidents] == [False, True]


# --- what cannot be read --------------------------------------------------------------------


class Odd(Quiet):
    def do_GET(self) -> None:  # noqa: N802 - as the library calls it
        if self.headers.get("Authorization") != "Bearer t0ken":
            self.answer(b"{}", status=403)
        else:
            self.answer(b'{"status": "success"}', "application/json")


def test_a_token_comes_from_the_environment_and_another_server_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(0, Odd)
    monkeypatch.delenv("ALERTMANAGER_TOKEN", raising=False)
    with pytest.raises(CollectError, match="is ALERTMANAGER_TOKEN set"):
        collected(Scope(server.url))
    monkeypatch.setenv("ALERTMANAGER_TOKEN", "t0ken")
    with pytest.raises(CollectError, match="no list of alerts") as error:
        collected(Scope(server.url))
    assert "t0ken" not in str(error.value)
    server.close()


def test_a_wrong_matcher_is_told_as_the_server_tells_it(manager: str) -> None:
    with pytest.raises(CollectError, match="answered 400"):
        collected(Scope(manager, options={"filter": ["service~shop"]}))

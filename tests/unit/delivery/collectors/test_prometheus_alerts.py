"""A real outage, seen by real servers while it happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pytest_dora.delivery.collectors import Batch, Scope
from pytest_dora.delivery.collectors.alertmanager import Alertmanager, incidents_of_webhook
from pytest_dora.delivery.fold import fold
from pytest_dora.model.events import IncidentBody, IncidentKind
from tests.unit.delivery.collectors.monitors import (
    App,
    Webhooks,
    alertmanager,
    eventually,
    free_port,
    get,
    prometheus,
)
from tests.unit.delivery.collectors.readings import (
    collected,
    digests,
    events_of,
    health,
    incidents,
    now,
)

RULES = """
groups:
- name: shop
  rules:
  - alert: ShopDown
    expr: up{job="shop"} == 0
    for: 1s
    labels: {severity: critical, env: production, incident_kind: outage}
    annotations: {summary: "down: {{ $value }}"}
"""
CONFIG = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s,
         external_labels: {cluster: blue}}
rule_files: [rules.yml]
scrape_configs:
- job_name: shop
  static_configs: [{targets: ['127.0.0.1:%d']}]
"""
TO_ALERTMANAGER = """
alerting: {alertmanagers: [{static_configs: [{targets: ['%s']}]}]}
"""
ROUTES = """
route: {receiver: hook, group_by: [alertname], group_wait: 100ms, group_interval: 1s}
receivers:
- name: hook
  webhook_configs: [{url: '%s', send_resolved: true}]
"""
LIVE = {"step": "2s", "history": "60s", "settle": "1s"}
SECOND = timedelta(seconds=1)


def ends(batches: list[Batch]) -> list[IncidentBody]:
    return [body for body in incidents(batches) if body.resolved_at is not None]


@pytest.fixture
def app() -> Iterator[App]:
    watched = App()
    watched.up()
    yield watched
    watched.close()


@pytest.fixture
def hooks() -> Iterator[Webhooks]:
    receiver = Webhooks()
    yield receiver
    receiver.close()


def test_an_outage_is_one_incident_to_history_list_and_webhook(
    app: App, hooks: Webhooks, tmp_path: Path
) -> None:
    with alertmanager(tmp_path / "am", ROUTES % hooks.url) as manager:
        config = CONFIG % app.port + TO_ALERTMANAGER % manager.removeprefix("http://")
        with prometheus(tmp_path / "prom", config, rules=RULES) as server:
            scope = Scope(server, app_id="shop", options=LIVE)
            listing = Scope(manager, app_id="shop")
            eventually(lambda: any(one.uptime == 1 for one in health(collected(scope))), "uptime")
            down = app.down()
            began = eventually(lambda: collected_incident(scope), "incident")
            listed = eventually(
                lambda: next(Alertmanager().collect(listing, None, now())).events, "alert"
            )
            up = app.up()
            later = eventually(lambda: continued(scope, began), "end of the incident")
            payload = eventually(lambda: hooks.told("resolved"), "notification of the end")
            whole = collected(scope)

    first, last = incidents(whole)
    assert (first.incident_kind, first.severity) == (IncidentKind.OUTAGE, "critical")
    assert first.title == "ShopDown"
    # the outage is seen at a scrape (1 s), the condition at an evaluation (1 s)
    assert down - SECOND <= first.started_at <= down + 3 * SECOND  # type: ignore[operator]
    # written in whole seconds, held for one, and found by an evaluation
    assert SECOND <= first.detected_at - first.started_at <= 3 * SECOND  # type: ignore[operator]
    assert up <= last.resolved_at <= up + 3 * SECOND  # type: ignore[operator]
    # told while it lasted, and its end from the cursor: what a reading of the whole says
    assert incidents(began) == [first]
    assert (
        digests([*began, *later]).items()
        >= {key: digest for key, digest in digests(whole).items() if "/alert/" in key}.items()
    )
    # the list and the webhook tell the same incident, the webhook to the millisecond
    webhook = incidents_of_webhook(payload, now(), listing)
    assert {one.body.incident for one in (*listed, *webhook)} == {first.incident}  # type: ignore[union-attr]
    assert listed[0].digest() == webhook[0].digest()
    late = webhook[-1].body.resolved_at - last.resolved_at  # type: ignore[union-attr, operator]
    assert timedelta(0) <= late < timedelta(milliseconds=1)
    (folded,) = fold("shop", [*listed, *webhook, *events_of(whole)]).incidents
    assert (folded.started_at, folded.detected_at) == (first.started_at, first.detected_at)
    assert {one.uptime for one in health(whole)} >= {0.0, 1.0}


def collected_incident(scope: Scope) -> list[Batch]:
    batches = collected(scope)
    return batches if incidents(batches) else []


def continued(scope: Scope, before: list[Batch]) -> list[Batch]:
    batches = collected(scope, json.loads(json.dumps(before[-1].cursor)))
    return batches if ends(batches) else []


def test_an_alert_goes_on_while_the_server_that_watches_it_restarts(
    app: App, tmp_path: Path
) -> None:
    port = free_port()
    app.down()
    with prometheus(tmp_path, CONFIG % app.port, rules=RULES, port=port) as server:
        scope = Scope(server, app_id="shop", options=LIVE)
        before = eventually(lambda: collected_incident(scope), "incident")
    with prometheus(tmp_path, CONFIG % app.port, rules=RULES, port=port) as server:
        restarted = now()
        eventually(lambda: firing_since(server, restarted), "evaluation after the restart")
        app.up()
        eventually(lambda: ends(collected(scope)), "end")
        whole, rest = collected(scope), collected(scope, before[-1].cursor)
    first, last = incidents(whole)
    assert first.incident == last.incident
    assert last.resolved_at > restarted  # type: ignore[operator]
    assert incidents(rest) == [last]


def firing_since(server: str, moment: datetime) -> bool:
    asked = "timestamp(ALERTS{alertstate='firing'})".replace("'", "%22").replace("{", "%7B")
    found = get(f"{server}/api/v1/query?query={asked}")["data"]["result"]
    return any(float(one["value"][1]) > moment.timestamp() for one in found)

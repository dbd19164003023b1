"""One name for an alert, whoever tells of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.delivery.collectors.alerts import (
    AlertOptions,
    Teller,
    alert_of,
    fingerprint_of,
    milliseconds,
    moment_of,
    stamp,
)
from pytest_dora.delivery.collectors.base import Scope
from pytest_dora.model.events import IncidentBody, IncidentKind

FIRED = datetime(2026, 3, 1, 10, 0, 0, 123456, tzinfo=UTC)


def teller(scope: Scope | None = None, **options: object) -> Teller:
    said = AlertOptions.model_validate(options)
    return Teller("alertmanager", "alertmanager", scope or Scope("http://am"), said, FIRED)


@pytest.mark.parametrize(
    ("labels", "fingerprint"),
    [
        # the offset of the hash; then as a running Alertmanager 0.25 gave them
        ({}, "cbf29ce484222325"),
        (
            {"alertname": "HighErrorRate", "environment": "production", "service": "app-a",
             "severity": "critical"},
            "dd0804dcb2cc4894",
        ),
        (
            {"severity": "critical", "service": "app-a", "instance": "i2",
             "environment": "production", "alertname": "HighErrorRate"},
            "84ede1746a5fe7ec",
        ),
    ],
)  # fmt: skip
def test_the_fingerprint_is_alertmanagers(labels: dict[str, str], fingerprint: str) -> None:
    assert fingerprint_of(labels) == fingerprint


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_the_order_of_labels_does_not_matter(labels: dict[str, str]) -> None:
    turned = dict(reversed(labels.items()))
    assert fingerprint_of(labels) == fingerprint_of(turned)


def test_where_a_value_ends_matters() -> None:
    assert fingerprint_of({"a": "bc"}) != fingerprint_of({"ab": "c"})


@given(st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_times_are_cut_to_milliseconds(moment: datetime) -> None:
    cut = moment_of(milliseconds(moment))
    assert timedelta(0) <= moment - cut < timedelta(milliseconds=1)
    assert stamp(moment) == stamp(cut)


def test_an_incident_is_named_by_fingerprint_and_start_in_utc() -> None:
    there = FIRED.astimezone(timezone(timedelta(hours=5, minutes=30)))
    alert = alert_of({"alertname": "Slow"}, there)
    assert alert == alert_of({"alertname": "Slow"}, FIRED)
    assert alert.incident.endswith("/2026-03-01T10:00:00.123Z")


def test_a_fingerprint_that_the_source_says_counts() -> None:
    assert alert_of({}, FIRED, "abc").incident == "alert/abc/2026-03-01T10:00:00.123Z"


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ({"incident_kind": "silent_failure"}, IncidentKind.SILENT_FAILURE),
        ({"incident_kind": "bad day"}, None),
        ({"alertname": "ServiceDown", "severity": "critical"}, None),
        ({"alertname": "Known"}, IncidentKind.OUTAGE),
        ({"alertname": "Known", "incident_kind": "degradation"}, IncidentKind.DEGRADATION),
    ],
)
def test_a_kind_is_said_and_never_guessed(
    labels: dict[str, str], kind: IncidentKind | None
) -> None:
    told = teller(incident_kinds={"Known": "outage"})
    body = told.fired(alert_of(labels, FIRED)).body
    assert isinstance(body, IncidentBody)
    assert body.incident_kind is kind


def test_labels_name_service_and_environment_in_the_evaluators_order() -> None:
    labels = {"job": "api", "team": "shop", "env": "staging", "service": ""}
    event = teller().fired(alert_of(labels, FIRED))
    assert (event.service, event.environment) == ("alertmanager:api", "staging")
    event = teller(app_labels=("team",), environment_labels=()).fired(alert_of(labels, FIRED))
    assert (event.service, event.environment) == ("alertmanager:shop", None)
    event = teller(Scope("http://am", environment="production")).fired(alert_of({}, FIRED))
    assert (event.service, event.environment) == (None, "production")
    event = teller().fired(alert_of({"job": "x" * 600, "env": "y" * 600}, FIRED))
    assert (event.service, event.environment) == (None, None)

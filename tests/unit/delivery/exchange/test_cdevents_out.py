from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.delivery.exchange import read_events, write_events
from pytest_dora.model import events as facts
from pytest_dora.model.events import DeploymentState, Event
from tests.unit.delivery.exchange.cdevents_schemas import EDITIONS, faults
from tests.unit.delivery.exchange.samples import NOW, events

MINUTE = timedelta(minutes=1)


def told(body: facts.Body, *, key: str = "record/shop/1", minutes: int = 0, **more: Any) -> Event:
    said = {"app_id": "shop", "environment": "production", **more}
    return Event(key=key, source="record", occurred_at=NOW + minutes * MINUTE, observed_at=NOW,
                 body=body, **said)  # fmt: skip


def exported(*said: Event, edition: str = "0.5") -> tuple[list[dict[str, Any]], list[str]]:
    """The documents, and what was refused."""
    stream = io.StringIO()
    written = write_events(said, stream, f"cdevents-{edition}")
    documents = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert written.lines == len(documents)
    return documents, [str(one) for one in written.refused]


def deployment(state: DeploymentState, **more: Any) -> tuple[Event, Event]:
    facts_of = facts.DeploymentBody(deployment="d", run_id="run-7", **more)
    status = facts.DeploymentStatusBody(deployment="d", state=state)
    return told(facts_of), told(status, key="record/shop/1/status", minutes=5)


def test_a_deployment_that_served_is_a_service_that_was_deployed() -> None:
    (began, served), refused = exported(*deployment(DeploymentState.SUCCESS, version="1 ü"))
    assert refused == []
    assert began["context"]["type"] == "dev.cdevents.pipelinerun.started.0.3.0"
    assert served["context"]["type"] == "dev.cdevents.service.deployed.0.3.0"
    assert served["context"]["timestamp"] == "2026-06-01T12:05:00Z"
    assert served["context"]["chainId"] == "run-7"
    assert served["subject"] == {
        "id": "shop",
        "content": {
            "environment": {"id": "production"},
            "artifactId": "pkg:generic/shop@1%20%C3%BC",
        },
    }


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"previous_version": "1"}, "service.upgraded"),
        ({"previous_version": "2", "rollback": True}, "service.rolledback"),
    ],
)
def test_an_upgrade_and_a_rollback_are_named(more: dict[str, Any], kind: str) -> None:
    (_, served), _ = exported(*deployment(DeploymentState.SUCCESS, version="2", **more))
    assert served["context"]["type"] == f"dev.cdevents.{kind}.0.3.0"


def test_a_deployment_that_failed_is_a_run_that_did() -> None:
    (began, failed), _ = exported(*deployment(DeploymentState.FAILED, version="1"))
    assert failed["context"]["type"] == "dev.cdevents.pipelinerun.finished.0.3.0"
    assert failed["subject"] == {"id": "d", "content": {"outcome": "failure"}}
    assert began["subject"]["id"] == "d"


def test_an_incident_that_is_over_is_detected_and_resolved_and_comes_back_once() -> None:
    body = facts.IncidentBody(
        incident="i", title="down", detected_at=NOW, resolved_at=NOW + 30 * MINUTE
    )
    said = told(body, environment=None, minutes=30)
    documents, _ = exported(said)
    assert [one["context"]["type"].split(".")[2:4] for one in documents] == [
        ["incident", "detected"], ["incident", "resolved"],
    ]  # fmt: skip
    assert len({one["context"]["id"] for one in documents}) == 2
    lines = "\n".join(json.dumps(one) for one in documents).encode()
    assert list(read_events(io.BytesIO(lines))) == [said]


def test_what_cdevents_has_no_word_for_is_refused_and_named() -> None:
    _, refused = exported(
        told(facts.CostBody(category="build", usd=1)),
        told(facts.DeploymentStatusBody(deployment="unknown", state=DeploymentState.SUCCESS)),
        told(facts.BuildBody(started_at=NOW, success=False)),
        *deployment(DeploymentState.SUCCESS),
    )
    no_artefact = "the deployment has no artifact, no version and no commit"
    assert refused == [
        "record/shop/1: CDEvents has no event for cost",
        "record/shop/1: CDEvents wants an artefact: export the deployment before its status",
        "record/shop/1: CDEvents cannot say that a build failed",
        f"record/shop/1/status: CDEvents wants an artefact: {no_artefact}",
    ]


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("https://ci.example/ä b", "https://ci.example/%C3%A4%20b"),
        ("no address", "urn:pytest-dora:d"),
        (None, "urn:pytest-dora:d"),
    ],
)
def test_the_address_of_a_run_is_one_whatever_was_recorded(url: str | None, uri: str) -> None:
    (began, _), _ = exported(*deployment(DeploymentState.FAILED, url=url))
    assert began["subject"]["content"]["uri"] == uri


@pytest.mark.parametrize("edition", EDITIONS)
@settings(deadline=None)
@given(said=st.lists(events, max_size=4))
def test_what_is_exported_comes_back_as_it_was(edition: str, said: list[Event]) -> None:
    stream = io.StringIO()
    written = write_events(said, stream, f"cdevents-{edition}")
    found = list(read_events(io.BytesIO(stream.getvalue().encode())))
    lost = [one.place for one in written.refused]
    assert len(found) + len(lost) == len(said)
    kept = list(said)
    for key in lost:
        kept.remove(next(one for one in kept if one.key == key and one not in found))
    assert found == kept


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_exported_event_is_valid_by_the_schemas(edition: str) -> None:
    kinds: set[str] = set()

    @settings(deadline=None)
    @given(st.lists(events, max_size=4))
    def valid(said: list[Event]) -> None:
        for document in exported(*said, edition=edition)[0]:
            assert faults(edition, document) == []
            kinds.add(document["context"]["type"])

    valid()
    certain = (
        facts.IncidentBody(incident="i", detected_at=NOW, resolved_at=NOW + MINUTE),
        facts.ChangeBody(commit_sha="a", merged_at=NOW, pull_request="7"),
        facts.BuildBody(started_at=NOW, finished_at=NOW, success=True, run_id="run-7"),
    )
    for body in certain:
        for document in exported(told(body), edition=edition)[0]:
            assert faults(edition, document) == []
            kinds.add(document["context"]["type"])
    for state in (*DeploymentState,):
        for rollback, previous in ((None, None), (True, None), (None, "0")):
            more = {"version": "1", "rollback": rollback, "previous_version": previous}
            for document in exported(*deployment(state, **more), edition=edition)[0]:
                assert faults(edition, document) == []
                kinds.add(document["context"]["type"])
    assert {".".join(kind.split(".")[2:4]) for kind in kinds} == {
        "pipelinerun.queued", "pipelinerun.started", "pipelinerun.finished",
        "service.deployed", "service.upgraded", "service.rolledback",
        "incident.detected", "incident.resolved", "build.finished", "change.merged",
    }  # fmt: skip

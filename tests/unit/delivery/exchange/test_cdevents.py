from __future__ import annotations

from typing import Any

import pytest

from pytest_dora.delivery.exchange import Refused
from pytest_dora.delivery.exchange.cdevents import version_of
from pytest_dora.model.events import (
    BuildBody,
    ChangeBody,
    DeploymentBody,
    DeploymentState,
    DeploymentStatusBody,
    Event,
    IncidentBody,
    PipelineRunBody,
    RunOutcome,
)
from tests.unit.delivery.exchange.cdevents_schemas import EDITIONS, conformance, faults
from tests.unit.delivery.exchange.samples import only, read, refusal

ARTIFACT = "pkg:oci/shop@1.2.0?repository_url=registry.example"
IMPORTED = {
    "service_deployed", "service_upgraded", "service_rolledback",
    "incident_detected", "incident_reported", "incident_resolved",
}  # fmt: skip
IN_PAIRS = {"pipelinerun_started", "pipelinerun_finished", "build_started", "build_finished"}


def event(kind: str, content: dict[str, Any], **context: Any) -> dict[str, Any]:
    """A CDEvent of 0.5 of our own."""
    return {
        "context": {
            "specversion": "0.5.1",
            "id": "1",
            "source": "/ci",
            "type": f"dev.cdevents.{kind}.0.3.0",
            "timestamp": "2026-01-01T12:00:00Z",
            **context,
        },
        "subject": {"id": "shop", "content": content},
    }


def service(predicate: str, **context: Any) -> dict[str, Any]:
    content = {"environment": {"id": "production"}, "artifactId": ARTIFACT}
    return event(f"service.{predicate}", content, **context)


def test_a_service_that_was_deployed_is_a_deployment_that_served_then() -> None:
    began, served = read(service("deployed"))
    assert isinstance(began, Event)
    assert isinstance(served, Event)
    assert (began.key, served.key) == ("cdevents//ci 1", "cdevents//ci 1 success")
    assert (began.service, began.environment) == ("cdevents:shop", "production")
    assert began.body == DeploymentBody(deployment=began.key, version="1.2.0", artifact=ARTIFACT)
    assert served.body == DeploymentStatusBody(deployment=began.key, state=DeploymentState.SUCCESS)
    assert served.occurred_at.isoformat() == "2026-01-01T12:00:00+00:00"


def test_a_rollback_says_so_and_an_upgrade_says_nothing_of_it() -> None:
    back, upgraded = read(service("rolledback"))[0], read(service("upgraded"))[0]
    assert isinstance(back, Event)
    assert isinstance(back.body, DeploymentBody)
    assert (back.body.rollback, back.body.rollback_to) == (True, "1.2.0")
    assert isinstance(upgraded, Event)
    assert isinstance(upgraded.body, DeploymentBody)
    assert (upgraded.body.rollback, upgraded.body.rollback_to) == (None, None)


def test_a_source_and_an_id_are_one_identity_wherever_the_border_lies() -> None:
    keys = {
        first.key
        for source, id_ in (("/a", "b c"), ("/a/b", "c"), ("/a", "b%20c"), ("/a%20b", "c"))
        if isinstance(first := read(service("deployed", source=source, id=id_))[0], Event)
    }
    assert len(keys) == 4


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_start_and_the_end_of_a_run_are_one_run(order: tuple[int, int]) -> None:
    halves = (
        event("pipelinerun.started", {"pipelineName": "deploy", "uri": "https://ci.example/1"}),
        event("pipelinerun.finished", {"outcome": "failure"}, id="2",
              timestamp="2026-01-01T14:00:00+01:00"),
    )  # fmt: skip
    found = only(read(*(halves[at] for at in order)))
    assert (found.key, found.service) == ("cdevents//ci 2", "cdevents:deploy")
    assert isinstance(found.body, PipelineRunBody)
    assert found.body.outcome is RunOutcome.FAILED
    assert found.body.run == "cdevents//ci shop"
    assert (found.body.finished_at - found.body.started_at).total_seconds() == 3600


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("success", RunOutcome.SUCCESS),
        ("failure", RunOutcome.FAILED),
        ("error", RunOutcome.FAILED),
        ("cancel", RunOutcome.CANCELLED),
    ],
)
def test_a_run_ends_as_its_end_says(said: str, outcome: RunOutcome) -> None:
    start = event("pipelinerun.started", {"pipelineName": "p", "uri": "https://ci.example"})
    body = only(read(start, event("pipelinerun.finished", {"outcome": said}))).body
    assert isinstance(body, PipelineRunBody)
    assert body.outcome is outcome


def test_the_older_edition_says_the_same_in_other_keys() -> None:
    newer = service("deployed")
    context = {
        **newer["context"],
        "version": "0.4.1",
        "type": "dev.cdevents.service.deployed.0.2.0",
    }
    del context["specversion"]
    older = {"context": context, "subject": {**newer["subject"], "type": "service"}}
    assert read(older) == read(newer)
    assert "subject.type: Field required" in refusal(read({**older, "subject": newer["subject"]}))


def test_half_a_run_is_refused_at_its_place() -> None:
    start = event("pipelinerun.started", {"pipelineName": "p", "uri": "https://ci.example"})
    reason = refusal(read(start))
    assert reason.startswith("file: dev.cdevents.pipelinerun.started.0.3.0 of 'shop' stands alone")
    twice = read(start, {**start})
    assert [str(one).split(": ", 1)[0] for one in twice] == ["file:2", "file:1"]


def test_an_end_without_an_outcome_is_no_outcome() -> None:
    end = event("pipelinerun.finished", {})
    assert "outcome None is none of success, failure, error, cancel" in refusal(read(end))


def test_a_build_is_a_success_when_it_names_what_it_built() -> None:
    start = event("build.started", {})
    built = event("build.finished", {"artifactId": ARTIFACT}, timestamp="2026-01-01T12:03:00Z")
    found = only(read(start, built)).body
    assert isinstance(found, BuildBody)
    assert found.success
    assert "does not say that the build succeeded" in refusal(read(event("build.finished", {})))


def test_a_ticket_does_not_move_a_detection_that_is_known() -> None:
    content = {"environment": {"id": "production"}, "service": {"id": "shop"}}
    detected = event("incident.detected", {**content, "description": "slow"})
    ticket = event("incident.reported", {**content, "ticketURI": "https://t.example/1"}, id="2",
                   timestamp="2026-01-01T13:00:00Z")  # fmt: skip
    resolved = event("incident.resolved", {**content, "description": "fast"}, id="3",
                     timestamp="2026-01-01T14:00:00Z")  # fmt: skip
    bodies = [one.body for one in read(detected, ticket, resolved) if isinstance(one, Event)]
    said = [one for one in bodies if isinstance(one, IncidentBody)]
    assert [one.incident for one in said] == ["cdevents//ci shop"] * 3
    assert [one.detected_at and one.detected_at.hour for one in said] == [12, None, None]
    assert [one.resolved_at and one.resolved_at.hour for one in said] == [None, None, 14]
    assert [one.title for one in said] == ["slow", None, None]
    alone = only(read(ticket)).body
    assert isinstance(alone, IncidentBody)
    assert alone.detected_at is not None
    assert alone.detected_at.hour == 13


def test_a_merge_names_its_commit() -> None:
    merged = event(
        "change.merged", {"repository": {"id": "acme/shop", "source": "https://github.com"}}
    )
    assert "names no commit" in refusal(read(merged))
    merged["subject"]["id"] = "c" * 40
    found = only(read(merged))
    assert found.service == "github:acme/shop"
    assert isinstance(found.body, ChangeBody)
    assert (found.body.commit_sha, found.body.merged_at) == ("c" * 40, found.occurred_at)


def test_a_cdevent_inside_of_a_cloudevent_is_the_same() -> None:
    inside = service("deployed")
    outside = {"specversion": "1.0", "type": inside["context"]["type"], "id": "9",
               "source": "/broker", "data": inside}  # fmt: skip
    assert read(outside) == read(inside)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"timestamp": "2026-01-01T12:00:00"}, "context.timestamp: a time needs a zone"),
        ({"specversion": "0.6.0"}, "is of CDEvents 0.6.0; 0.4 and 0.5 are read"),
        ({"id": ""}, "context.id: String should have at least 1 character"),
        ({"source": "a b"}, "context.source: String should match pattern"),
        ({"sorce": "/a"}, "context.sorce: Extra inputs are not permitted"),
        ({"type": "dev.cdevents.service"}, "'dev.cdevents.service' is no type of CDEvents"),
        ({"type": "dev.cdevents.service.removed.0.3.0"}, "which no metric counts"),
        ({"type": "dev.cdevents.ticket.closed.0.2.0"}, "ticket.closed is no event that is counted"),
    ],
)
def test_what_is_wrong_with_an_event_is_said(changed: dict[str, Any], reason: str) -> None:
    assert reason in refusal(read(service("deployed", **changed)))


def test_the_version_of_an_artefact_is_that_of_its_package_url() -> None:
    assert version_of("pkg:oci/app@sha256%3Aab?x=@1") == "sha256:ab"
    assert version_of("pkg:npm/%40scope/app@1.0.0#sub@2") == "1.0.0"
    assert version_of("pkg:generic/app") is None
    assert version_of("registry.example/app@sha256:ab") is None


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_event_of_the_specification_is_read_or_refused_with_a_reason(edition: str) -> None:
    events = conformance(edition)
    assert len(events) == 45
    imported, halves = set(), set()
    for name, document in events.items():
        assert faults(edition, document) == [], name
        found = read(document, format_name="cdevents")
        if all(isinstance(one, Event) for one in found):
            imported.add(name)
        else:
            reason = refusal(found)
            if "stands alone" in reason:
                halves.add(name)
            else:
                assert reason.startswith("file: "), reason
                assert name.replace("_", ".") in reason or name == "change_merged", reason
    assert imported == IMPORTED
    assert halves == IN_PAIRS


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_halves_of_the_specification_make_runs(edition: str) -> None:
    events = conformance(edition)
    found = read(*(events[name] for name in sorted(IN_PAIRS)))
    kinds = sorted(one.body.kind for one in found if not isinstance(one, Refused))
    assert kinds == ["build", "pipeline_run"]


@pytest.mark.parametrize("edition", EDITIONS)
def test_what_the_schemas_refuse_is_refused_here(edition: str) -> None:
    """For each required key, and for a key too many, of the events that are imported."""
    for name in sorted(IMPORTED):
        whole = conformance(edition)[name]
        for part in ("context", "subject"):
            for key in whole[part]:
                changed = {**whole, part: {k: v for k, v in whole[part].items() if k != key}}
                if key == "type" and part == "context":
                    continue  # then it has no schema
                refused = isinstance(read(changed, format_name="cdevents")[0], Refused)
                assert refused == bool(faults(edition, changed)), (name, part, key)
            extra = {**whole, part: {**whole[part], "extra": 1}}
            assert isinstance(read(extra)[0], Refused)
        content = whole["subject"]["content"]
        for key in content:
            less = {k: v for k, v in content.items() if k != key}
            changed = {**whole, "subject": {**whole["subject"], "content": less}}
            refused = isinstance(read(changed)[0], Refused)
            assert refused == bool(faults(edition, changed)), (name, key)

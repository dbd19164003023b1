from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_dora.delivery.collectors.github import facts, payloads
from pytest_dora.delivery.exchange import Refused
from pytest_dora.model.events import (
    ChangeBody,
    DeploymentBody,
    DeploymentState,
    DeploymentStatusBody,
    Event,
    IncidentBody,
    PipelineRunBody,
    RunOutcome,
)
from tests.unit.delivery.exchange.samples import NOW, only, read, refusal
from tests.vectors import values

REPOSITORY = {"full_name": "acme/shop", "html_url": "https://github.com/acme/shop"}
SHA = "c" * 40
DEPLOYMENT: dict[str, Any] = {
    "id": 7,
    "sha": SHA,
    "ref": "v1.2.0",
    "environment": "production",
    "creator": {"type": "User"},
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-09T00:00:00Z",
}
STATUS = {
    "id": 70,
    "state": "success",
    "environment": "production",
    "created_at": "2026-01-01T12:05:00Z",
}
RUN: dict[str, Any] = {
    "id": 9,
    "name": "deploy",
    "run_attempt": 2,
    "status": "completed",
    "conclusion": "timed_out",
    "created_at": "2026-01-01T11:00:00Z",
    "run_started_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-01T12:10:00Z",
    "head_sha": SHA,
    "head_branch": "main",
}
ISSUE: dict[str, Any] = {
    "number": 3,
    "title": "down",
    "state": "open",
    "html_url": "https://github.com/acme/shop/issues/3",
    "created_at": "2026-01-01T12:00:00Z",
    "updated_at": "2026-01-09T00:00:00Z",
    "closed_at": None,
    "labels": [{"name": "production-incident"}],
}
PULL: dict[str, Any] = {
    "number": 5,
    "html_url": "https://github.com/acme/shop/pull/5",
    "created_at": "2026-01-01T10:00:00Z",
    "merged_at": "2026-01-01T12:00:00Z",
    "merge_commit_sha": SHA,
    "head": {"ref": "hotfix/payment"},
}


def webhook(**parts: Any) -> dict[str, Any]:
    return {"action": "created", "repository": REPOSITORY, **parts}


def told(document: dict[str, Any], format_name: str | None = None) -> list[Event]:
    found = read(document, format_name=format_name)
    assert all(isinstance(one, Event) for one in found), found
    return [one for one in found if isinstance(one, Event)]


def test_a_status_tells_of_its_deployment_too_in_the_words_of_the_collector() -> None:
    document = webhook(deployment=DEPLOYMENT, deployment_status=STATUS)
    began, served = told(document)
    assert began.key == "github.com/acme/shop/deployment/7"
    assert served.key == "github.com/acme/shop/deployment/7/status/70"
    assert (began.service, began.environment) == ("github:acme/shop", "production")
    assert isinstance(began.body, DeploymentBody)
    assert (began.body.deployment, began.body.commit_sha) == (began.key, SHA)
    assert served.body == DeploymentStatusBody(deployment=began.key, state=DeploymentState.SUCCESS)
    assert served.occurred_at == datetime(2026, 1, 1, 12, 5, tzinfo=UTC)
    assert told(webhook(deployment=DEPLOYMENT)) == [began]
    collected = facts.deployment_events(
        facts.Origin("github.com", "acme/shop", None, NOW),
        payloads.DeploymentPayload.model_validate(DEPLOYMENT),
        [payloads.StatusPayload.model_validate(STATUS)],
    )
    assert [began, served] == collected


def test_a_deployment_that_was_replaced_is_not_a_finish() -> None:
    inactive = webhook(deployment=DEPLOYMENT, deployment_status={**STATUS, "state": "inactive"})
    body = told(inactive)[-1].body
    assert isinstance(body, DeploymentStatusBody)
    assert body.state is DeploymentState.SUPERSEDED
    odd = webhook(deployment=DEPLOYMENT, deployment_status={**STATUS, "state": "odd"})
    assert "'odd', a state that is not known" in refusal(read(odd))


def test_an_attempt_of_a_run_has_its_own_start_and_key() -> None:
    event = only(read(webhook(action="completed", workflow_run=RUN)))
    assert event.key == "github.com/acme/shop/run/9/attempt/2"
    assert isinstance(event.body, PipelineRunBody)
    assert event.body.run == "github.com/acme/shop/run/9"
    assert (event.body.outcome, event.body.queued_at) == (RunOutcome.FAILED, None)
    assert (event.body.finished_at - event.body.started_at).total_seconds() == 600


def test_a_run_that_goes_on_is_refused() -> None:
    running = {**RUN, "status": "in_progress", "conclusion": None}
    assert "has not ended" in refusal(read(webhook(workflow_run=running)))
    unknown = {**RUN, "conclusion": "odd"}
    assert "ended 'odd', which is not known" in refusal(read(webhook(workflow_run=unknown)))


def test_a_merge_says_what_its_commit_became_and_takes_nothing_back() -> None:
    event = only(read(webhook(action="closed", pull_request=PULL)))
    assert event.key == "github.com/acme/shop/pull/5/merged"
    assert event.body == ChangeBody(
        commit_sha=SHA,
        opened_at=datetime(2026, 1, 1, 10, tzinfo=UTC),
        merged_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
        pull_request="github.com/acme/shop/pull/5",
        merge_sha=SHA,
        hotfix=True,
    )
    assert "is_merge" not in event.body.model_fields_set
    closed = {**PULL, "merged_at": None}
    assert "5 is not merged" in refusal(read(webhook(action="closed", pull_request=closed)))


def test_a_push_tells_of_every_commit() -> None:
    commits = [
        {"id": SHA, "timestamp": "2026-01-01T13:00:00+01:00", "message": "a"},
        {"id": "d" * 40, "timestamp": "2026-01-01T12:01:00Z",
         "message": f"Revert\n\nThis reverts commit {SHA}."},
    ]  # fmt: skip
    first, second = told(webhook(ref="refs/heads/main", commits=commits))
    assert first.key == f"github.com/acme/shop/commit/{SHA}/pushed"
    assert first.body == ChangeBody(
        commit_sha=SHA, committed_at=datetime(2026, 1, 1, 12, tzinfo=UTC)
    )
    assert isinstance(second.body, ChangeBody)
    assert second.body.reverts == (SHA,)
    empty = webhook(ref="refs/tags/v1", commits=[])
    assert "the push to refs/tags/v1 brings no commit" in refusal(read(empty))


def test_a_release_is_a_deployment_only_where_that_is_said() -> None:
    release = {"id": 1, "tag_name": "v1", "published_at": "2026-01-01T12:00:00Z"}
    document = webhook(action="published", release=release)
    assert "--format github:release" in refusal(read(document))
    began, served = told(document, "github:release")
    assert isinstance(began.body, DeploymentBody)
    assert (began.body.deployment, began.body.version) == (
        "github.com/acme/shop/release/1", "v1",
    )  # fmt: skip
    assert isinstance(served.body, DeploymentStatusBody)
    assert (served.body.state, served.body.estimated) == (DeploymentState.SUCCESS, True)
    drafted = webhook(action="created", release={**release, "published_at": None})
    assert "only one that is published" in refusal(read(drafted, format_name="github:release"))


def test_an_issue_with_the_label_is_an_incident_from_its_opening_to_its_closing() -> None:
    opened = only(read(webhook(action="labeled", issue=ISSUE)))
    closed = only(
        read(
            webhook(
                action="closed",
                issue={**ISSUE, "state": "closed", "closed_at": "2026-01-01T13:00:00Z"},
            )
        )
    )
    assert opened.key == "github.com/acme/shop/issue/3/opened/2026-01-01T12:00:00Z"
    assert closed.key == "github.com/acme/shop/issue/3/closed/2026-01-01T13:00:00Z"
    for event, hour in ((opened, None), (closed, 13)):
        assert isinstance(event.body, IncidentBody)
        assert event.body.incident == "github.com/acme/shop/issue/3"
        assert event.body.detected_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
        assert (event.body.resolved_at and event.body.resolved_at.hour) == hour


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": [{"name": "bug"}, {"name": "coincidental"}]}, "has no label"),
        ({"state": "closed"}, "nothing says when it ended"),
    ],
)
def test_an_issue_that_is_no_incident_or_has_no_end_is_refused(
    change: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(read(webhook(action="edited", issue={**ISSUE, **change})))


def test_an_incident_that_was_reopened_is_refused_for_its_end_would_stay() -> None:
    assert "reopened incident" in refusal(read(webhook(action="reopened", issue=ISSUE)))


def test_an_enterprise_server_has_keys_of_its_own() -> None:
    repository = {**REPOSITORY, "html_url": "https://git.acme.example/acme/shop"}
    document = {**webhook(deployment=DEPLOYMENT), "repository": repository}
    assert told(document)[0].key == "git.acme.example/acme/shop/deployment/7"


def test_another_webhook_is_refused_with_those_that_are_read() -> None:
    assert "is no webhook of GitHub that is read here (deployment, " in refusal(
        read(webhook(star={}), format_name="github")
    )


REAL = {
    "deployment_payload.json": ["deployment"],
    "deployment_gh-pages.payload.json": ["deployment"],
    "deployment_status_payload.json": ["deployment", "deployment_status"],
    "deployment_status_with-installation.payload.json": ["deployment", "deployment_status"],
    "deployment_status_gh-pages.payload.json": ["deployment", "deployment_status"],
    "workflow_run_completed.payload.json": ["pipeline_run"],
    "workflow_run_completed.with-pull-requests.payload.json": ["pipeline_run"],
    "workflow_run_requested.payload.json": "has not ended",
    "push_payload.json": "brings no commit",
    "release_published.payload.json": "a release is no deployment",
    "issues_opened.payload.json": "has no label",
    "issues_reopened.payload.json": "has no label",
}


@pytest.mark.parametrize("name", REAL)
def test_real_payloads_are_told_by_their_shape(name: str) -> None:
    found = read(values("10_real_payloads", f"github_webhooks/{name}"))
    expected = REAL[name]
    if isinstance(expected, str):
        assert expected in refusal(found)
        return
    assert [one.body.kind for one in found if not isinstance(one, Refused)] == expected
    assert all(one.key.startswith("github.com/") for one in found if isinstance(one, Event))


def test_real_payloads_of_one_deployment_tell_one_deployment() -> None:
    two = [
        read(values("10_real_payloads", f"github_webhooks/{name}"))[0]
        for name in ("deployment_payload.json", "deployment_status_payload.json")
    ]
    assert two[0] == two[1]

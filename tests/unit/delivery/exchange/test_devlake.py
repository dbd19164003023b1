from __future__ import annotations

import copy
from typing import Any

import pytest

from pytest_dora.delivery.exchange import Refused
from pytest_dora.model.events import (
    DeploymentBody,
    DeploymentChangesBody,
    DeploymentState,
    DeploymentStatusBody,
    Event,
    IncidentBody,
)
from tests.unit.delivery.exchange.samples import only, read, refusal
from tests.vectors import values

COMMIT = {
    "repoUrl": "https://github.com/acme/shop",
    "commitSha": "c1",
    "startedDate": "2026-01-01T00:00:00+00:00",
    "finishedDate": "2026-01-01T00:05:00+00:00",
}
DEPLOYMENT: dict[str, Any] = {
    "id": "d1",
    "startedDate": "2026-01-01T01:00:00+01:00",
    "finishedDate": "2026-01-01T00:05:00+00:00",
    "deploymentCommits": [COMMIT],
}
ISSUE = {
    "issueKey": "I-1",
    "title": "down",
    "type": "INCIDENT",
    "originalStatus": "open",
    "status": "IN_PROGRESS",
    "createdDate": "2026-01-01T00:00:00Z",
}


def bodies(found: list[Event | Refused]) -> list[Any]:
    assert all(isinstance(one, Event) for one in found), found
    return [one.body for one in found if isinstance(one, Event)]


def test_a_deployment_has_a_start_and_an_end() -> None:
    began, ended = read(DEPLOYMENT)
    assert isinstance(began, Event)
    assert isinstance(ended, Event)
    assert (began.key, began.service, began.environment) == (
        "devlake/deployment/d1", "github:acme/shop", "PRODUCTION",
    )  # fmt: skip
    assert isinstance(began.body, DeploymentBody)
    assert (began.body.commit_sha, began.body.started_at) == ("c1", began.occurred_at)
    assert began.occurred_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert ended.body == DeploymentStatusBody(
        deployment="devlake/deployment/d1", state=DeploymentState.SUCCESS
    )
    assert ended.occurred_at.isoformat() == "2026-01-01T00:05:00+00:00"


def test_a_commit_has_the_result_of_its_deployment() -> None:
    failed = {**DEPLOYMENT, "result": "FAILURE"}
    assert bodies(read(failed))[1].state is DeploymentState.FAILED
    contradicting = {**failed, "deploymentCommits": [{**COMMIT, "result": "SUCCESS"}]}
    assert "commit c1 is SUCCESS and its deployment FAILURE" in refusal(read(contradicting))


def test_a_creation_that_nobody_tells_is_not_made_up_from_the_start() -> None:
    assert bodies(read(DEPLOYMENT))[0].created_at is None
    created = {**DEPLOYMENT, "createdDate": "2025-12-31T23:00:00Z"}
    assert bodies(read(created))[0].created_at.isoformat() == "2025-12-31T23:00:00+00:00"


def test_every_commit_of_a_deployment_is_kept() -> None:
    two = {**DEPLOYMENT, "deploymentCommits": [COMMIT, {**COMMIT, "commitSha": "c2"}]}
    assert bodies(read(two))[2] == DeploymentChangesBody(
        deployment="devlake/deployment/d1", commit_shas=("c1", "c2")
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "id: Input should be a valid string"),
        ({"deploymentCommits": []}, "deploymentCommits: Tuple should have at least 1 item"),
        ({"environment": "prod"}, "environment: Input should be 'PRODUCTION'"),
        ({"result": "OK"}, "result: Input should be 'SUCCESS', 'FAILURE' or 'ABORT'"),
        ({"startedDate": "2026-01-01T00:00:00"}, "startedDate: a time needs a zone"),
        ({"finishedDate": None}, "finishedDate: Input should be a valid datetime"),
    ],
)
def test_what_a_deployment_must_have_is_named(change: dict[str, Any], reason: str) -> None:
    assert reason in refusal(read({**DEPLOYMENT, **change}))


def test_an_open_incident_is_open_and_a_resolved_one_says_when() -> None:
    opened = only(read(ISSUE)).body
    assert isinstance(opened, IncidentBody)
    assert (opened.incident, opened.resolved_at) == ("devlake/issue/I-1", None)
    done = {**ISSUE, "status": "DONE"}
    assert "has no resolutionDate: say when it was resolved" in refusal(read(done))
    resolved = only(read({**done, "resolutionDate": "2026-01-01T01:00:00Z"})).body
    assert isinstance(resolved, IncidentBody)
    assert resolved.resolved_at is not None
    assert opened.detected_at is not None
    assert (resolved.resolved_at - opened.detected_at).total_seconds() == 3600


def test_an_issue_that_is_no_incident_is_refused() -> None:
    assert "only an INCIDENT is an event" in refusal(read({**ISSUE, "type": "BUG"}))


def test_the_older_spelling_says_the_same() -> None:
    older = {
        "pipeline_id": "d1",
        "repo_url": COMMIT["repoUrl"],
        "commit_sha": "c1",
        "start_time": DEPLOYMENT["startedDate"],
        "end_time": DEPLOYMENT["finishedDate"],
    }
    assert read(older) == read(DEPLOYMENT)
    snake = {
        "id": "d1",
        "started_date": DEPLOYMENT["startedDate"],
        "finished_date": DEPLOYMENT["finishedDate"],
        "deployment_commits": [
            {"repo_url": COMMIT["repoUrl"], "commit_sha": "c1",
             "started_date": COMMIT["startedDate"], "finished_date": COMMIT["finishedDate"]},
        ],
    }  # fmt: skip
    assert read(snake) == read(DEPLOYMENT)


def test_the_examples_of_the_contract_are_read_as_it_says() -> None:
    examples = values("14_devlake_webhook", "examples.json")
    camel = examples["deployment_camel"]
    began, ended, commits = (one for one in read(camel["input"]) if isinstance(one, Event))
    assert isinstance(ended.body, DeploymentStatusBody)
    assert camel["expected"]["deployment.result"] == "FAILURE"
    assert ended.body.state is DeploymentState.FAILED
    seconds = (ended.occurred_at - began.occurred_at).total_seconds()
    assert seconds == camel["expected"]["duration_sec"]
    assert isinstance(commits.body, DeploymentChangesBody)
    assert commits.body.commit_shas == ("c1", "c4")
    # DevLake keeps SUCCESS for both commits here, and counts the failed deployment as one
    assert camel["expected"]["commit.result"].startswith("SUCCESS")

    legacy = bodies(read(examples["deployment_snake_legacy"]))
    assert legacy[0].deployment == "devlake/deployment/required-pipeline-id"
    assert legacy[1].state is DeploymentState.FAILED
    for invalid in examples["invalid"]:
        assert isinstance(read(invalid["input"])[0], Refused), invalid["why"]


def test_required_keys_of_the_contract_are_required() -> None:
    examples = values("14_devlake_webhook", "examples.json")
    full = examples["deployment_camel"]["input"]
    for name in ("id", "startedDate", "finishedDate", "deploymentCommits"):
        without = {key: value for key, value in full.items() if key != name}
        assert isinstance(read(without)[0], Refused), name
    for name in examples["required"]["commit"]:
        partial = copy.deepcopy(full)
        del partial["deploymentCommits"][0][name]
        assert isinstance(read(partial)[0], Refused), name
    for name in ("title", "originalStatus", "createdDate"):
        issue = examples["incident_resolved"]["input"]
        without = {key: value for key, value in issue.items() if key != name}
        assert isinstance(read(without)[0], Refused), name


def test_a_resolved_incident_of_the_contract_lasts_as_long() -> None:
    resolved = values("14_devlake_webhook", "examples.json")["incident_resolved"]
    body = only(read(resolved["input"])).body
    assert isinstance(body, IncidentBody)
    assert body.resolved_at is not None
    assert body.detected_at is not None
    minutes = (body.resolved_at - body.detected_at).total_seconds() / 60
    assert int(minutes) == resolved["expected"]["leadTimeMinutes"]

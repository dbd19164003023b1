"""Payloads to events: recorded ones of real repositories, and small ones of our own."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_dora.delivery.collectors.github import facts
from pytest_dora.delivery.collectors.github.payloads import (
    CommitPayload,
    DeploymentPayload,
    JobPayload,
    PullPayload,
    RunPayload,
    StatusPayload,
)
from pytest_dora.delivery.collectors.github.runs import Naming
from pytest_dora.model.events import DeploymentState, Event, Method, RunOutcome
from tests import vectors
from tests.unit.delivery.collectors.github.world import at, stamp

REST = "10_real_payloads/devlake_github"
GRAPHQL = "10_real_payloads/devlake_github_graphql"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
ORIGIN = facts.Origin("github.com", "shop/web", "shop", NOW)


def raw(folder: str, file: str) -> list[dict[str, Any]]:
    csv.field_size_limit(2**24)
    return [json.loads(row["data"]) for row in vectors.rows(folder, file)]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- recorded deployments -------------------------------------------------------------------


def as_rest(row: dict[str, Any]) -> tuple[DeploymentPayload, list[StatusPayload]]:
    """A recorded GraphQL row in the words of REST. Older rows hold the latest status alone."""
    deployment = DeploymentPayload(
        id=row["DatabaseId"],
        sha=row["CommitOid"],
        ref=row["Ref"]["Name"],
        environment=row["Environment"],
        created_at=row["CreatedAt"],
        updated_at=row["UpdatedAt"],
    )
    nodes = (row.get("Statuses") or {}).get("nodes") or [
        {"state": row["LatestStatus"]["State"], "updatedAt": row["LatestStatus"]["updatedAt"]}
    ]
    statuses = [
        StatusPayload(id=number, state=node["state"].lower(), created_at=node["updatedAt"])
        for number, node in enumerate(reversed(nodes), 1)
    ]
    return deployment, statuses


def test_recorded_deployments_are_devlakes_but_for_their_finish() -> None:
    expected = {row["id"]: row for row in vectors.rows(GRAPHQL, "expected/cicd_deployments.csv")}
    commits = {
        row["cicd_deployment_id"]: row["commit_sha"]
        for row in vectors.rows(GRAPHQL, "expected/cicd_deployment_commits.csv")
    }
    same, other, unknown = [], [], []
    for row in raw(GRAPHQL, "_raw_github_graphql_deployment.csv"):
        deployment, statuses = as_rest(row)
        events = facts.deployment_events(ORIGIN, deployment, statuses)
        theirs = expected.pop(f"github:GithubDeployment:1:{row['Id']}")
        ours = events[0]
        assert ours.key == f"github.com/shop/web/deployment/{row['DatabaseId']}"
        assert ours.body.commit_sha == commits[theirs["id"]]
        assert ours.environment == theirs["environment"] == "github-pages"
        assert ours.body.created_at == moment(theirs["created_date"])
        assert ours.body.version is None  # gh-pages is a branch
        success = facts.success_of(deployment, statuses)
        if success is None:
            unknown.append(deployment.id)
            # theirs: the moment at which the next deployment replaced it, a "duration" of days
            assert theirs["original_status"] == "INACTIVE"
            assert moment(theirs["finished_date"]) == deployment.updated_at
            assert [event.body.state for event in events[1:]] == [DeploymentState.SUPERSEDED]
        elif success[0] == moment(theirs["finished_date"]):
            same.append(deployment.id)
        else:
            other.append((deployment.id, moment(theirs["finished_date"]) - success[0]))
    assert expected == {}
    assert sorted(same) == [3839563910, 3881429895]
    # theirs is when the deployment was touched, ours when its success was told, a second earlier
    assert [(number, lag.total_seconds()) for number, lag in other] == [(1707033729, 1)]
    assert sorted(unknown) == [1670973641, 1693412381, 1696032217, 1701084484]
    worst = next(
        row
        for row in vectors.rows(GRAPHQL, "expected/cicd_deployments.csv")
        if row["duration_sec"] == "777562"
    )
    assert worst["original_status"] == "INACTIVE"


def test_a_recorded_replaced_deployment_keeps_the_moment_of_its_success() -> None:
    row = next(
        one
        for one in raw(GRAPHQL, "_raw_github_graphql_deployment.csv")
        if one["DatabaseId"] == 3839563910
    )
    deployment, statuses = as_rest(row)
    assert deployment.updated_at == moment("2026-02-20T00:30:59Z")
    assert facts.success_of(deployment, statuses) == (
        moment("2026-02-14T00:32:36Z"),
        "github-pages",
    )


# --- recorded runs --------------------------------------------------------------------------


def test_recorded_runs_are_devlakes_when_they_have_ended() -> None:
    expected = {int(row["id"]): row for row in vectors.rows(REST, "expected/_tool_github_runs.csv")}
    runs = [RunPayload.model_validate(one) for one in raw(REST, "_raw_github_api_runs.csv")]
    assert {run.id for run in runs} == set(expected)
    naming = Naming(workflows=(re.compile("CodeQL"),))
    ended = 0
    for run in runs:
        theirs = expected[run.id]
        named = naming.pipeline("run", run, [], run.updated_at).deploys
        assert named == (theirs["type"] == "DEPLOYMENT"), run.id
        assert run.ended == bool(theirs["conclusion"])
        if not run.ended:
            continue
        ended += 1
        outcome = facts.run_outcome(run)
        finished_at = facts.run_finish(run, [])
        assert outcome is not None
        assert finished_at is not None
        body = facts.run_event(ORIGIN, run, finished_at, outcome).body
        assert body.run == f"github.com/shop/web/run/{run.id}"
        assert str(body.attempt) == theirs["run_attempt"]
        assert body.started_at == moment(theirs["run_started_at"])
        assert body.finished_at == moment(theirs["github_updated_at"])  # there are no jobs to ask
        assert (body.commit_sha, body.branch) == (theirs["head_sha"], theirs["head_branch"])
        # theirs is when the first attempt was asked for; that of a later one is not known
        queued = moment(theirs["github_created_at"]) if body.attempt == 1 else None
        assert body.queued_at == queued
    assert (len(runs), ended) == (35, 28)


def test_recorded_jobs_tell_when_an_attempt_ended() -> None:
    jobs: dict[int, list[JobPayload]] = {}
    for one in raw(REST, "_raw_github_api_jobs.csv"):
        jobs.setdefault(one["run_id"], []).append(JobPayload.model_validate(one))
    completed: dict[int, list[datetime]] = {}
    for row in vectors.rows(REST, "expected/_tool_github_jobs.csv"):
        completed.setdefault(int(row["run_id"]), []).append(moment(row["completed_at"]))
    assert jobs.keys() == completed.keys()
    for number, found in jobs.items():
        run = RunPayload.model_validate(a_run(id=number, started="2021-01-01T00:00:00Z"))
        assert facts.run_finish(run, found) == max(completed[number])


def test_recorded_jobs_that_deploy_are_devlakes() -> None:
    expected = {
        row["id"]: row["type"] == "DEPLOYMENT"
        for row in vectors.rows(REST, "expected/_tool_github_jobs.csv")
    }
    naming = Naming(jobs=(re.compile("deploywindows"),))
    run = RunPayload.model_validate(a_run())
    rows = raw(REST, "_raw_github_api_jobs.csv")
    pipeline = naming.pipeline("run", run, [JobPayload.model_validate(one) for one in rows], NOW)
    found = {str(row["id"]): job.deploys for row, job in zip(rows, pipeline.jobs, strict=True)}
    assert found == expected


def test_recorded_webhooks_are_read_like_answers() -> None:
    told = vectors.values("10_real_payloads", "github_webhooks/deployment_status_payload.json")
    deployment = DeploymentPayload.model_validate(told["deployment"])
    status = StatusPayload.model_validate(told["deployment_status"])
    events = facts.deployment_events(ORIGIN, deployment, [status])
    assert [event.key.removeprefix("github.com/shop/web/") for event in events] == [
        "deployment/145988746",
        "deployment/145988746/status/209916254",
    ]
    assert events[0].body.method is None  # a user's token: a person or a pipeline
    assert events[1].body.state is DeploymentState.SUCCESS
    assert events[1].occurred_at == moment("2019-05-15T15:20:55Z")


# --- our own --------------------------------------------------------------------------------


def a_run(**values: Any) -> dict[str, Any]:
    started = values.pop("started", stamp(at(1)))
    return {
        "id": 1,
        "name": "CI",
        "event": "push",
        "conclusion": "success",
        "head_sha": "a" * 40,
        "created_at": stamp(at(0)),
        "run_started_at": started,
        "updated_at": stamp(at(9)),
        "actor": {"type": "User"},
        **values,
    }


def a_deployment(**values: Any) -> DeploymentPayload:
    return DeploymentPayload.model_validate(
        {
            "id": 1,
            "sha": "a" * 40,
            "ref": "main",
            "environment": "production",
            "creator": {"type": "Bot"},
            "created_at": stamp(at(0)),
            "updated_at": stamp(at(9)),
            **values,
        }
    )


def statuses(*told: tuple[str, float]) -> list[StatusPayload]:
    return [
        StatusPayload(id=number, state=state, created_at=at(minute))
        for number, (state, minute) in enumerate(told, 1)
    ]


def change(message: str = "x", pulls: tuple[dict[str, Any], ...] = (), **values: Any) -> Event:
    commit = {
        "sha": "a" * 40,
        "commit": {"message": message, "author": {"date": stamp(at(1))},
                   "committer": {"date": stamp(at(2))}},
        "parents": [{"sha": "b" * 40}],
        **values,
    }  # fmt: skip
    event = facts.change_event(
        ORIGIN,
        CommitPayload.model_validate(commit),
        [PullPayload.model_validate(pull) for pull in pulls],
    )
    assert event is not None
    return event


def test_every_status_of_github_has_a_state() -> None:
    told = statuses(
        ("queued", 0), ("pending", 1), ("in_progress", 2), ("success", 3), ("failure", 4),
        ("error", 5), ("inactive", 6),
    )  # fmt: skip
    events = facts.deployment_events(ORIGIN, a_deployment(), told)[1:]
    assert [event.body.state.value for event in events] == [
        "pending", "pending", "in_progress", "success", "failed", "failed", "superseded",
    ]  # fmt: skip


def test_a_deployment_served_when_its_first_success_was_told() -> None:
    told = statuses(("inactive", 9), ("success", 8), ("failure", 5), ("success", 3), ("queued", 1))
    assert facts.success_of(a_deployment(), told) == (at(3), "production")
    assert facts.success_of(a_deployment(), statuses(("failure", 3), ("inactive", 4))) is None


def test_what_changes_later_is_no_part_of_an_event() -> None:
    told = statuses(("success", 3))
    before = facts.deployment_events(ORIGIN, a_deployment(), told)
    later = facts.Origin("github.com", "shop/web", "shop", at(900))
    after = facts.deployment_events(later, a_deployment(updated_at=stamp(at(800))), told)
    assert [one.digest() for one in before] == [one.digest() for one in after]
    jobs = [JobPayload(name="build", completed_at=at(5))]
    runs = [
        RunPayload.model_validate(a_run(updated_at=stamp(at(minute)))) for minute in (6, 90_000)
    ]
    assert {facts.run_finish(run, jobs) for run in runs} == {at(5)}


@pytest.mark.parametrize(
    ("ref", "version"),
    [
        ("v1.2.3", "v1.2.3"),
        ("refs/tags/1.0.0-rc.1", "1.0.0-rc.1"),
        ("2026.03.1", "2026.03.1"),
        ("main", None),
        ("release-1.2", None),
        ("7", None),
        ("a" * 40, None),
    ],
)
def test_a_tag_is_a_version_and_a_branch_is_none(ref: str, version: str | None) -> None:
    event = facts.deployment_events(ORIGIN, a_deployment(ref=ref), [])[0]
    assert event.body.version == version


@pytest.mark.parametrize(
    ("conclusion", "outcome"),
    [
        ("success", RunOutcome.SUCCESS),
        ("failure", RunOutcome.FAILED),
        ("timed_out", RunOutcome.FAILED),
        ("startup_failure", RunOutcome.FAILED),
        ("cancelled", RunOutcome.CANCELLED),
        ("stale", RunOutcome.CANCELLED),
        ("skipped", RunOutcome.SKIPPED),
        ("neutral", RunOutcome.SKIPPED),
        ("action_required", RunOutcome.SKIPPED),
        ("SUCCESS", RunOutcome.SUCCESS),
        ("exploded", None),
    ],
)
def test_every_conclusion_has_an_outcome(conclusion: str, outcome: RunOutcome | None) -> None:
    run = RunPayload.model_validate(a_run(conclusion=conclusion))
    assert facts.run_outcome(run) is outcome


def test_an_attempt_ends_with_its_last_job() -> None:
    run = RunPayload.model_validate(a_run())
    jobs = [
        JobPayload(name="a", completed_at=at(3)),
        JobPayload(name="b", completed_at=at(5)),
        JobPayload(name="skipped before it began", completed_at=at(0.5)),
        JobPayload(name="c"),
    ]
    assert facts.run_finish(run, jobs) == at(5)
    assert facts.run_finish(run, []) == at(9)
    backwards = RunPayload.model_validate(a_run(started=stamp(at(10))))
    assert facts.run_finish(backwards, jobs) is None


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ({"event": "push"}, Method.CI),
        ({"event": "pull_request"}, Method.CI),
        ({"event": "release"}, Method.CI),
        ({"event": "schedule"}, Method.AUTOMATED),
        ({"event": "push", "actor": {"type": "Bot"}}, Method.AUTOMATED),
        ({"event": "push", "triggering_actor": {"type": "Bot"}}, Method.AUTOMATED),
        ({"event": "workflow_dispatch"}, Method.MANUAL),
        ({"event": "workflow_dispatch", "actor": None}, None),
        ({"event": "repository_dispatch"}, None),
    ],
)
def test_a_run_was_started_by_whom_its_event_names(
    values: dict[str, Any], method: Method | None
) -> None:
    assert facts.run_method(RunPayload.model_validate(a_run(**values))) is method


@pytest.mark.parametrize(
    ("message", "reverts"),
    [
        (f'Revert "x"\n\nThis reverts commit {"c" * 40}.', ("c" * 40,)),
        (f"This reverts commit {'c' * 40}, reversing\nchanges made to {'d' * 40}.", ("c" * 40,)),
        ("This reverts commit abc1234.\nThis reverts commit abc1235.", ("abc1234", "abc1235")),
        ("This reverts commit abc.", ()),
        ("It reverts commit abc1234", ()),
    ],
)
def test_a_message_tells_what_a_commit_takes_back(message: str, reverts: tuple[str, ...]) -> None:
    assert change(message).body.reverts == reverts


def test_the_pull_request_that_was_merged_first_brought_a_commit() -> None:
    pulls = (
        {"number": 3, "merged_at": None},
        {"number": 2, "merged_at": stamp(at(9)), "merge_commit_sha": "2" * 40},
        {"number": 1, "merged_at": stamp(at(5)), "merge_commit_sha": "1" * 40,
         "head": {"ref": "hotfix/x"}},
    )  # fmt: skip
    event = change(pulls=pulls)
    assert event.key.endswith("/pull/1")
    assert (event.body.merge_sha, event.body.hotfix) == ("1" * 40, True)
    assert event.digest() == change(pulls=pulls[::-1]).digest()
    assert change(pulls=pulls[:1]).key == f"github.com/shop/web/commit/{'a' * 40}"


def test_a_merge_commit_is_known_by_its_parents() -> None:
    assert change().body.is_merge is False
    assert change(parents=[{"sha": "b" * 40}, {"sha": "c" * 40}]).body.is_merge is True


def test_a_commit_without_any_date_is_no_event() -> None:
    commit = CommitPayload.model_validate({"sha": "a", "commit": {"author": None}})
    assert facts.change_event(ORIGIN, commit, []) is None

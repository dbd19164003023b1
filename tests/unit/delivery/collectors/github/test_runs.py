"""Workflow runs: every attempt once it has ended, and those that are deployments."""

from __future__ import annotations

from datetime import timedelta

from pytest_dora.model.events import DeploymentState, Method, RunOutcome
from tests.unit.delivery.collectors.github.collecting import (
    KEY,
    Collect,
)
from tests.unit.delivery.collectors.github.server import Fault, GitHubServer
from tests.unit.delivery.collectors.github.world import World, at

# --- workflow runs --------------------------------------------------------------------------


def test_every_attempt_of_a_run_is_an_event(world: World, collect: Collect) -> None:
    sha = world.commit(at(0))
    number = world.run(sha, at(1), at(5), "failure")
    world.rerun(number, at(100), at(103), "timed_out")
    world.rerun(number, at(200), at(202), "success")
    found = collect(at(300)).of("pipeline_run")
    assert [one.key for one in found] == [f"{KEY}/run/{number}/attempt/{n}" for n in (1, 2, 3)]
    assert [(one.body.started_at, one.body.finished_at) for one in found] == [
        (at(1), at(5)),
        (at(100), at(103)),
        (at(200), at(202)),
    ]
    assert [one.body.queued_at for one in found] == [at(1), None, None]
    failed = RunOutcome.FAILED
    assert [one.body.outcome for one in found] == [failed, failed, RunOutcome.SUCCESS]
    assert found[2].body.url == f"https://127.0.0.1/shop/web/actions/runs/{number}/attempts/3"
    assert (found[0].body.commit_sha, found[0].body.branch) == (sha, "main")


def test_a_run_counts_when_it_has_ended(world: World, collect: Collect) -> None:
    sha = world.commit(at(0))
    number = world.run(sha, at(1), None)
    found = collect(at(10))
    assert found.of("pipeline_run") == []
    assert found.cursor["runs"]["open"] == [number]
    world.attempts[number].clear()
    world._attempt(number, sha, at(1), at(1), at(12), "success", "CI", "push", ("b",), None)
    later = at(60 * 24 * 34)  # longer ago than the runs that are listed again
    collect(later, found)
    assert [one.body.finished_at for one in found.of("pipeline_run")] == [at(12)]
    assert found.cursor["runs"]["open"] == []


def test_a_rerun_of_an_old_run_is_found(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    for minute in range(20):
        world.run(world.commit(at(minute)), at(minute), at(minute + 1), "failure")
    day = 60 * 24
    found = collect(at(27 * day))
    number = next(iter(world.attempts))
    world.rerun(number, at(29 * day), at(29 * day + 5), "success")
    github.requests.clear()
    collect(at(30 * day), found)
    assert found.events[f"{KEY}/run/{number}/attempt/2"].body.finished_at == at(29 * day + 5)
    assert len(found.of("pipeline_run")) == 21
    assert len(github.paths("/jobs")) == 2  # runs that nothing happened to are not read again


def test_what_github_does_to_old_runs_changes_no_event(world: World, collect: Collect) -> None:
    number = world.run(world.commit(at(0)), at(1), at(5))
    found = collect(at(60))
    world.touch(number, at(5000))
    collect(at(6000), found)
    assert found.repeated > 0
    assert found.of("pipeline_run")[0].body.finished_at == at(5)


def test_what_was_deleted_before_it_was_read_is_noted(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    sha = world.commit(at(0))
    deployment, run = world.deploy(sha, at(1)), world.run(sha, at(1), None)
    found = collect(at(10))
    del world.deployments[deployment], world.attempts[run]
    again = world.run(sha, at(11), at(12), "failure")
    world.rerun(again, at(13), at(14), "success")
    github.faults = [
        Fault("/attempts/1$", status=404, body=b"{}"),
        Fault("/attempts/2/jobs", status=410, body=b"{}"),
    ]
    collect(at(60), found)
    assert found.notes == [
        f"deployment {deployment} was deleted before it ended",
        f"workflow run {run} was deleted before it ended",
        f"{KEY}/run/{again}/attempt/1 was deleted before it was read",
    ]
    assert found.cursor["deployments"]["open"] == found.cursor["runs"]["open"] == []
    finished = [one.body.finished_at for one in found.of("pipeline_run")]
    assert finished == [at(14) + timedelta(seconds=2)]  # without jobs, the run's own last change


def test_more_runs_than_one_filter_gives_are_read_in_slices(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    sha = world.commit(at(0))
    for number in range(1300):
        world.run(sha, at(number), at(number + 1), jobs=())
    found = collect(at(3000))
    assert len(found.of("pipeline_run")) == 1300
    assert found.notes == []


def test_runs_of_one_second_beyond_the_limit_are_noted(world: World, collect: Collect) -> None:
    sha = world.commit(at(0))
    for _ in range(1001):
        world.run(sha, at(1), at(2), jobs=())
    found = collect(at(60))
    assert len(found.of("pipeline_run")) == 1000
    assert "more than 1000 workflow runs of one second" in found.notes[0]


def test_named_workflows_and_jobs_are_deployments(world: World, collect: Collect) -> None:
    sha = world.commit(at(0))
    world.run(sha, at(1), at(2), workflow="CI", jobs=("build", "test"))
    first = world.run(sha, at(3), at(5), workflow="Deploy to production")
    failed = world.run(sha, at(6), at(8), "failure", workflow="Release", jobs=("ship-staging",))
    world.run(sha, at(9), at(10), "skipped", workflow="Deploy to production")
    newer = world.commit(at(11))
    last = world.run(
        newer, at(12), at(14), workflow="Deploy to production", event="workflow_dispatch"
    )
    found = collect(at(60), deploy_workflows=["deploy"], deploy_jobs=["^ship"])
    told = [
        (one.body.deployment, one.environment, one.body.method, one.body.started_at)
        for one in found.of("deployment")
    ]
    assert told == [
        (f"{KEY}/run/{first}/attempt/1", "production", Method.CI, at(3)),
        (f"{KEY}/run/{failed}/attempt/1", "staging", Method.CI, at(6)),
        (f"{KEY}/run/{last}/attempt/1", "production", Method.MANUAL, at(12)),
    ]
    assert [(one.occurred_at, one.body.state) for one in found.of("deployment_status")] == [
        (at(5), DeploymentState.SUCCESS),
        (at(8), DeploymentState.FAILED),
        (at(14), DeploymentState.SUCCESS),
    ]
    changes = found.of("deployment_changes")
    assert [(one.body.deployment, one.body.commit_shas) for one in changes] == [
        (f"{KEY}/run/{last}/attempt/1", (newer,))
    ]
    assert len(found.of("pipeline_run")) == 5


def test_an_environment_that_is_given_is_that_of_all_runs(world: World, collect: Collect) -> None:
    world.run(world.commit(at(0)), at(1), at(2), workflow="Deploy")
    found = collect(at(60), environment="live", deploy_workflows=["deploy"])
    assert found.of("deployment")[0].environment == "live"

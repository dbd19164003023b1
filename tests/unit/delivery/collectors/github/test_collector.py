"""Collecting from a GitHub of ours: everything once, whatever comes between."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from pytest_dora.delivery.collectors.base import CollectError, Scope
from pytest_dora.delivery.collectors.github import GitHub
from pytest_dora.model.events import DeploymentState
from tests.unit.delivery.collectors.github.collecting import (
    Collect,
    Collected,
    busy,
    served,
)
from tests.unit.delivery.collectors.github.server import Fault, GitHubServer, http_date
from tests.unit.delivery.collectors.github.world import World, at

# --- collecting again, and after trouble ----------------------------------------------------


def test_a_thousand_deployments_survive_a_limit_and_a_cut(
    world: World, github: GitHubServer, collect: Collect, waits: list[float]
) -> None:
    busy(world, 1000)
    now = at(20_000)
    whole = collect(now)
    assert len(whole.of("deployment")) == 1000
    assert len(github.paths(r"/deployments\?")) == 10
    succeeded = sum(number % 7 != 3 for number in range(1000))
    states = [one.body.state for one in whole.of("deployment_status")]
    assert states.count(DeploymentState.SUCCESS) == succeeded
    assert states.count(DeploymentState.SUPERSEDED) == succeeded - 1
    assert states.count(DeploymentState.FAILED) == 1000 - succeeded
    assert len(whole.of("deployment_changes")) == succeeded - 1
    assert sum(len(one.body.commit_shas) for one in whole.of("deployment_changes")) == 999
    assert len(whole.of("change")) == 999
    assert len(whole.of("pipeline_run")) == 200
    assert whole.repeated == 0

    github.faults = [
        Fault("/deployments.*page=4", status=429, headers={"Retry-After": "7"}),
        Fault("/statuses", "cut", times=5, skip=400),
        Fault("/compare/", "cut", times=5, skip=600),
        Fault("/jobs", "cut", times=5, skip=90),
    ]
    troubled = Collected()
    for _ in range(3):
        with pytest.raises(CollectError, match="cannot be reached"):
            collect(now, troubled)
        assert troubled.data_through is None
    assert waits[0] == 7
    collect(now, troubled)
    assert [fault.times for fault in github.faults] == [0, 0, 0, 0]
    assert troubled.digests() == whole.digests()
    assert troubled.repeated < 100  # what was read again is little
    assert troubled.data_through == now


def test_what_changes_while_a_collection_is_interrupted_is_seen(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    busy(world, 60)
    numbers = list(world.deployments)
    github.faults = [Fault("/statuses", "cut", times=5, skip=50)]
    found = Collected()
    with pytest.raises(CollectError):
        collect(at(700), found)
    world.status(numbers[5], "error", at(710))  # it was read already
    world.status(numbers[58], "error", at(720))
    collect(at(800), found)
    assert found.digests() == collect(at(800)).digests()
    assert found.of("deployment_status")[-2].occurred_at == at(710)


def test_a_rerun_while_a_collection_is_interrupted_is_seen_by_the_next(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    sha = world.commit(at(0))
    numbers = [world.run(sha, at(minute), at(minute + 1), "failure") for minute in range(250)]
    github.faults = [Fault("/jobs", "cut", times=5, skip=220)]
    found = Collected()
    with pytest.raises(CollectError):
        collect(at(700), found)
    assert len(found.of("pipeline_run")) == 200
    world.rerun(numbers[5], at(710), at(712), "success")  # it was read already
    collect(at(900), found)
    assert found.data_through == at(700)
    collect(at(1000), found)
    assert found.data_through == at(1000)
    assert found.digests() == collect(at(1000)).digests()


def test_collecting_in_many_portions_gives_what_one_collection_gives(
    world: World, collect: Collect
) -> None:
    busy(world, 60)
    portions = Collected()
    for minute in range(50, 700, 50):
        collect_until(world, minute, collect, portions)
    whole = collect(at(700))
    collect(at(700), portions)
    assert portions.digests() == whole.digests()


def collect_until(world: World, minute: float, collect: Collect, into: Collected) -> None:
    """Collect what GitHub would have told at that time: nothing that came later."""
    limit = at(minute).strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = (world.deployments, world.statuses, world.attempts)
    world.deployments = {
        number: {**one, "updated_at": min(one["updated_at"], limit)}
        for number, one in kept[0].items()
        if one["created_at"] <= limit
    }
    world.statuses = {
        number: [one for one in kept[1][number] if one["created_at"] <= limit]
        for number in world.deployments
    }
    world.attempts = {
        number: began
        for number, attempts in kept[2].items()
        if (began := [one for one in attempts if one["updated_at"] <= limit])
    }
    try:
        collect(at(minute), into)
    finally:
        world.deployments, world.statuses, world.attempts = kept


def test_collecting_again_reads_little_and_adds_nothing(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    busy(world, 200)
    found = collect(at(3000))
    before = found.digests()
    github.requests.clear()
    collect(at(3000), found)
    assert found.digests() == before
    assert len(github.requests) < 15


def test_a_cursor_is_small_and_plain(world: World, collect: Collect) -> None:
    busy(world, 200)
    cursor = collect(at(3000)).cursor
    assert len(json.dumps(cursor)) < 20_000
    assert json.loads(json.dumps(cursor)) == cursor


def test_a_cursor_of_something_else_is_refused(collect: Collect) -> None:
    with pytest.raises(CollectError, match="collect without its cursor"):
        collect(at(1), Collected(cursor={"page": 3}))


def test_what_github_cannot_have_told_yet_is_not_claimed(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    served(world, 0)
    served(world, 10)
    github.date = http_date(at(12.5))  # its clock is behind ours
    found = collect(at(20))
    assert found.data_through == at(12.5)
    assert found.of("deployment_changes") == []
    github.date = http_date(at(30))
    collect(at(30), found)
    assert len(found.of("deployment_changes")) == 1


def test_nothing_that_was_made_before_is_read(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    busy(world, 20)
    found = collect(at(3000), since="2026-03-02T09:00:00Z")
    assert min(one.occurred_at for one in found.of("deployment")) == at(62)
    assert min(one.body.queued_at or at(60) for one in found.of("pipeline_run")) >= at(60)
    assert found.notes == []


def test_an_empty_repository_is_known_to_be_empty(collect: Collect) -> None:
    found = collect(at(60))
    assert (found.events, found.data_through) == ({}, at(60))
    assert len(found.batches) == 1


# --- what cannot be read --------------------------------------------------------------------


def test_the_token_goes_to_github_and_nowhere_else(
    world: World, github: GitHubServer, collect: Collect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served(world, 0)
    with GitHubServer(World()).running() as other:
        link = f'<{other.url}/repos/shop/web/deployments?page=2>; rel="next"'
        page = json.dumps(list(world.deployments.values())).encode()
        github.faults = [Fault("/deployments", headers={"Link": link}, body=page)]
        with pytest.raises(CollectError, match="another host"):
            collect(at(60))
        assert other.requests == []
    assert {headers["authorization"] for _, headers in github.requests} == {
        "Bearer ghp_secret0123456789"
    }
    assert "ghp_secret" not in caplog.text


def test_without_a_token_what_is_public_is_read(
    world: World, github: GitHubServer, collect: Collect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    served(world, 0)
    assert collect(at(60)).of("deployment")
    assert all("authorization" not in headers for _, headers in github.requests)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, b'{"message": "Bad credentials"}', "is GITHUB_TOKEN set, and may it read this"),
        (404, b'{"message": "Not Found"}', "answered 404"),
        (200, b"<html>Sign in</html>", "is no JSON"),
        (200, b'{"message": "hello"}', "is no list; is this the address of GitHub's API"),
        (200, b'[{"id": 1}]', "a deployment: sha: Field required"),
    ],
)
def test_an_unusable_answer_is_told_without_the_token(
    github: GitHubServer, collect: Collect, status: int, body: bytes, message: str
) -> None:
    github.faults = [Fault("/deployments", status=status, body=body)]
    with pytest.raises(CollectError) as caught:
        collect(at(60))
    assert message in str(caught.value)
    assert "ghp_secret" not in str(caught.value)


def test_a_time_without_zone_is_refused(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    number = served(world, 0)
    world.deployments[number]["created_at"] = "2026-03-02T08:00:00"
    with pytest.raises(CollectError, match=r"created_at: .*without a zone"):
        collect(at(60))


@pytest.mark.parametrize("name", ["web", "shop/web/x", "../web", "shop/we b", "shop/", "a/b?c"])
def test_a_scope_is_owner_and_repository(name: str) -> None:
    with pytest.raises(CollectError, match="owner/repo"):
        next(GitHub().collect(Scope(name), None, at(0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deploy_workflows": ["("]}, "deploy_workflows: '\\('"),
        ({"deploys": ["x"]}, "option deploys"),
        ({"since": "2026-01-01T00:00:00"}, "option since"),
        ({"base_url": "http://github.example"}, "over https"),
        ({"base_url": "https://user:pw@github.example"}, "a user or a password"),
    ],
)
def test_a_wrong_option_is_named(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret0123456789")
    with pytest.raises(CollectError, match=message):
        next(GitHub().collect(Scope("shop/web", options=options), None, at(0)))


def test_a_pause_longer_than_a_collection_can_afford_ends_it(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    busy(world, 60)
    exhausted = {"x-ratelimit-remaining": "0", "retry-after": "3000"}
    github.faults = [Fault("/statuses", status=403, headers=exhausted, skip=55)]
    found = Collected()
    with pytest.raises(CollectError, match="come again in 3000 s"):
        collect(at(3000), found)
    assert found.cursor is not None
    kept = len(found.events)
    assert kept > 100
    collect(at(3000), found)
    assert found.digests() == collect(at(3000)).digests()


def test_days_between_collections_lose_nothing(world: World, collect: Collect) -> None:
    found = collect(at(0) - timedelta(days=1))
    busy(world, 30)
    collect(at(90 * 24 * 60), found)
    assert found.digests() == collect(at(90 * 24 * 60)).digests()

"""Deployments, their statuses, and the commits that each brought."""

from __future__ import annotations

from itertools import pairwise

from pytest_dora.model.events import DeploymentState, Method
from tests.unit.delivery.collectors.github.collecting import (
    KEY,
    Collect,
    served,
    shas,
)
from tests.unit.delivery.collectors.github.server import GitHubServer
from tests.unit.delivery.collectors.github.world import World, at, sha_of

# --- deployments ----------------------------------------------------------------------------


def test_deployments_and_statuses_become_events(world: World, collect: Collect) -> None:
    sha = world.commit(at(0))
    number = world.deploy(
        sha, at(1), ("queued", at(1)), ("in_progress", at(2)), ("success", at(3)), ref="v1.2.0"
    )
    found = collect(at(60))
    deployment = found.of("deployment")[0]
    assert deployment.key == f"{KEY}/deployment/{number}"
    assert (deployment.service, deployment.app_id) == ("github:shop/web", "shop")
    assert (deployment.source, deployment.environment) == ("github", "production")
    assert (deployment.body.commit_sha, deployment.body.version) == (sha, "v1.2.0")
    assert deployment.body.method is Method.CI
    assert [(one.occurred_at, one.body.state) for one in found.of("deployment_status")] == [
        (at(1), DeploymentState.PENDING),
        (at(2), DeploymentState.IN_PROGRESS),
        (at(3), DeploymentState.SUCCESS),
    ]
    assert found.data_through == at(60)
    assert found.notes == []


def test_a_deployment_by_a_user_says_not_who_started_it(world: World, collect: Collect) -> None:
    served(world, 0, bot=False)
    assert collect(at(60)).of("deployment")[0].body.method is None


def test_a_replaced_deployment_keeps_its_finish(world: World, collect: Collect) -> None:
    first = served(world, 0)
    served(world, 10000)
    statuses = [
        (one.occurred_at, one.body.state)
        for one in collect(at(20000)).of("deployment_status")
        if one.body.deployment == f"{KEY}/deployment/{first}"
    ]
    assert statuses[-2:] == [
        (at(3), DeploymentState.SUCCESS),
        (at(10003), DeploymentState.SUPERSEDED),
    ]


def test_a_deployment_that_has_not_ended_is_looked_at_again(
    world: World, github: GitHubServer, collect: Collect
) -> None:
    served(world, 0)
    slow = world.deploy(world.commit(at(5)), at(6), ("in_progress", at(7)))
    for minute in range(10, 1300, 10):  # enough to push it from the first page of the list
        world.deploy(sha_of(1), at(minute), ("failure", at(minute + 1)), environment="preview")
    found = collect(at(1400))
    assert found.cursor["deployments"]["open"] == [slow]
    world.status(slow, "success", at(1410))
    github.requests.clear()
    collect(at(1500), found)
    assert found.events[f"{KEY}/deployment/{slow}"].body.commit_sha == sha_of(2)
    assert DeploymentState.SUCCESS in [
        one.body.state
        for one in found.of("deployment_status")
        if one.body.deployment == f"{KEY}/deployment/{slow}"
    ]
    assert shas(found, slow) == (sha_of(2),)
    assert found.cursor["deployments"]["open"] == []
    assert len(github.paths("/deployments")) < 10


def test_a_recent_deployment_that_fails_after_it_served_is_seen(
    world: World, collect: Collect
) -> None:
    first, _ = served(world, 0), served(world, 10)
    found = collect(at(30))
    world.status(first, "failure", at(40))
    collect(at(50), found)
    assert [one.occurred_at for one in found.of("deployment_status")][-1] == at(40)


def test_a_deployment_that_never_ends_is_let_go_aloud(world: World, collect: Collect) -> None:
    world.deploy(world.commit(at(0)), at(1))
    found = collect(at(60 * 24 * 50))
    assert found.cursor["deployments"]["open"] == []
    assert "1 deployments have not ended" in found.notes[0]


def test_a_status_may_send_a_deployment_elsewhere(world: World, collect: Collect) -> None:
    number = world.deploy(world.commit(at(0)), at(1), environment="staging")
    found = collect(at(2))
    world.status(number, "success", at(3), environment="production")
    collect(at(60), found)
    told = [(one.occurred_at, one.environment) for one in found.of("deployment")]
    assert told == [(at(1), "staging"), (at(3), "production")]


def test_an_unknown_status_is_noted_and_no_event(world: World, collect: Collect) -> None:
    world.deploy(world.commit(at(0)), at(1), ("exploded", at(2)), ("success", at(3)))
    found = collect(at(60))
    assert len(found.of("deployment_status")) == 1
    assert "its status 'exploded' is not known" in found.notes[0]


# --- changes --------------------------------------------------------------------------------


def test_a_deployment_brings_the_commits_since_the_one_that_served_before(
    world: World, collect: Collect
) -> None:
    first = served(world, 0)
    world.commit(at(10))
    failed = world.deploy(world.commit(at(11)), at(12), ("failure", at(13)))
    elsewhere = served(world, 14, environment="staging")
    last = served(world, 20)
    again = world.deploy(sha_of(5), at(30), ("success", at(31)))
    found = collect(at(60))
    assert shas(found, first) is None  # nobody knows what the first one brought
    assert shas(found, failed) is None
    assert shas(found, elsewhere) is None
    assert shas(found, last) == (sha_of(2), sha_of(3), sha_of(4), sha_of(5))
    assert shas(found, again) == ()
    assert {one.body.commit_sha for one in found.of("change")} == {sha_of(n) for n in (2, 3, 4, 5)}


def test_a_commit_tells_its_pull_request_and_what_it_takes_back(
    world: World, collect: Collect
) -> None:
    served(world, 0)
    bad = world.commit(at(10))
    fix = world.commit(at(20), f'Revert "x"\n\nThis reverts commit {bad}.')
    number = world.pull(fix, opened=at(21), merged=at(25), ref="hotfix/login")
    world.deploy(fix, at(30), ("success", at(31)))
    found = {one.body.commit_sha: one for one in collect(at(60)).of("change")}
    assert found[bad].key == f"{KEY}/commit/{bad}"
    assert found[bad].body.pull_request is None
    assert found[bad].occurred_at == at(10)
    change = found[fix]
    assert change.key == f"{KEY}/commit/{fix}/pull/{number}"
    assert change.body.pull_request == f"{KEY}/pull/{number}"
    assert (change.body.opened_at, change.body.merged_at) == (at(21), at(25))
    assert (change.body.merge_sha, change.body.reverts) == (fix, (bad,))
    assert change.body.hotfix is True
    assert found[bad].body.hotfix is None


def test_a_merge_that_comes_after_the_deployment_contradicts_nothing(
    world: World, collect: Collect
) -> None:
    served(world, 0)
    sha = world.commit(at(10))
    world.pull(sha, opened=at(11), merged=None)
    world.deploy(sha, at(12), ("success", at(13)), environment="preview")
    world.deploy(sha_of(1), at(11.5), ("success", at(11.6)), environment="preview")
    found = collect(at(14))
    assert found.of("change")[0].body.pull_request is None
    world.pulls.clear()
    number = world.pull(sha, opened=at(11), merged=at(20))
    world.deploy(sha, at(30), ("success", at(31)))
    collect(at(60), found)
    assert [one.body.pull_request for one in found.of("change")] == [None, f"{KEY}/pull/{number}"]


def test_an_overtaking_deployment_comes_before(world: World, collect: Collect) -> None:
    served(world, 0)
    slow = world.deploy(world.commit(at(10)), at(11), ("in_progress", at(12)))
    fast = world.deploy(world.commit(at(13)), at(14), ("success", at(15)))
    found = collect(at(16))
    assert shas(found, fast) == (sha_of(2), sha_of(3))
    world.status(slow, "success", at(20))
    collect(at(60), found)
    assert shas(found, slow) == ()  # it brought an older commit back
    assert found.digests() == collect(at(60)).digests()


def test_deployments_that_overlap_follow_the_one_that_served_before(
    world: World, collect: Collect
) -> None:
    ends = {number: number + (40 if number % 3 == 0 else 5) for number in range(120)}
    deployed, ran = {}, {}
    for number, end in ends.items():
        sha = world.commit(at(number))
        deployed[number] = world.deploy(sha, at(number))
        ran[number] = world.run(sha, at(number), at(end), workflow="Deploy")
    for number, end in sorted(ends.items(), key=lambda item: item[1]):
        world.status(deployed[number], "success", at(end))
    found = collect(at(1000), deploy_workflows=["deploy"])
    for ids, name in ((deployed, "deployment/{}/changes"), (ran, "run/{}/attempt/1/changes")):
        order = sorted(ends, key=lambda n: (at(ends[n]), KEY + "/" + name.format(ids[n])))
        for before, number in pairwise(order):
            expected = tuple(sha_of(one + 1) for one in range(before + 1, number + 1))
            event = found.events[f"{KEY}/{name.format(ids[number])}"]
            assert event.body.commit_shas == expected, number


def test_history_that_was_rewritten_is_noted(world: World, collect: Collect) -> None:
    world.deploy("f" * 40, at(1), ("success", at(2)))
    last = served(world, 10)
    found = collect(at(60))
    assert shas(found, last) is None
    assert "history rewritten" in found.notes[0]


def test_a_large_comparison_is_read_page_by_page_and_cut_aloud(
    world: World, collect: Collect
) -> None:
    served(world, 0)
    for minute in range(1, 1151):
        world.commit(at(minute / 100))
    last = served(world, 20)
    found = collect(at(60))
    event = found.events[f"{KEY}/deployment/{last}/changes"]
    assert (len(event.body.commit_shas), event.body.truncated) == (1000, True)
    assert "only the first 1000 commits" in found.notes[0]

"""A whole collection under the eyes of GitHub's own description of its API."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dora.delivery.collectors.base import CollectError
from tests.unit.delivery.collectors.github.collecting import Collect
from tests.unit.delivery.collectors.github.prism import proxy
from tests.unit.delivery.collectors.github.server import GitHubServer
from tests.unit.delivery.collectors.github.world import World, at


def lively(world: World) -> None:
    """Every kind of thing that is asked for, and more than one page of deployments."""
    for number in range(105):
        minute = number * 10
        sha = world.commit(at(minute))
        if number % 20 == 0:
            world.pull(sha, opened=at(minute), merged=at(minute + 1))
        state = "failure" if number % 7 == 3 else "success"
        world.deploy(sha, at(minute + 2), ("in_progress", at(minute + 3)), (state, at(minute + 4)))
        if number % 30 == 0:
            run = world.run(sha, at(minute + 1), at(minute + 2), "failure", workflow="Deploy")
            world.rerun(run, at(minute + 3), at(minute + 4), "success")
    world.run(sha, at(1100), None)


@pytest.mark.timeout(600)
def test_requests_and_answers_are_what_github_describes(
    world: World, github: GitHubServer, collect: Collect, tmp_path: Path
) -> None:
    lively(world)
    direct = collect(at(1200), deploy_workflows=["deploy"])
    github.requests.clear()
    with proxy(tmp_path, github.url) as address:
        github.link_base = address
        proxied = collect(at(1200), base_url=address, deploy_workflows=["deploy"])
        assert proxied.digests() == direct.digests()
        assert len(proxied.of("deployment")) == 105 + 8
        assert len(github.paths(r"/deployments\?")) == 2
        for asked in ("/statuses", "/actions/runs", "/attempts/1?", "/jobs", "/compare/", "/pulls"):
            assert any(asked in f"{path}?" for path in github.paths()), asked
        open_run = proxied.cursor["runs"]["open"]
        assert open_run
        collect(at(1300), proxied, base_url=address, deploy_workflows=["deploy"])
        assert github.paths(rf"/actions/runs/{open_run[0]}$")

        log = tmp_path / "prism.log"
        assert "VIOLATIONS" not in log.read_text()

        # and the judge is awake: an answer that GitHub would never give is refused
        del next(iter(world.statuses.values()))[0]["state"]
        with pytest.raises(CollectError, match="/statuses answered 500"):
            collect(at(1200), base_url=address)
        assert "VIOLATIONS" in log.read_text()

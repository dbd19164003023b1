"""A GitHub of ours, and a store that holds what was collected of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from pytest_dora.delivery.collectors.base import Scope
from pytest_dora.delivery.collectors.github import GitHub
from tests.unit.delivery.collectors.github.collecting import Collected
from tests.unit.delivery.collectors.github.server import GitHubServer
from tests.unit.delivery.collectors.github.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def github(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret0123456789")
    with GitHubServer(world).running() as server:
        yield server


@pytest.fixture
def waits() -> list[float]:
    """The seconds that a collection waited, which no test does."""
    return []


@pytest.fixture
def collect(github: GitHubServer, waits: list[float]) -> Callable[..., Collected]:
    """Collect up to a moment, into what was collected before; keeps what came before an error."""

    def run(
        now: datetime, into: Collected | None = None, base_url: str | None = None, **options: Any
    ) -> Collected:
        collected = into if into is not None else Collected()
        scope = Scope(
            "shop/web",
            app_id="shop",
            environment=options.pop("environment", None),
            options={"base_url": base_url or github.url, **options},
        )
        for batch in GitHub(wait=waits.append).collect(scope, collected.cursor, now):
            collected.add(batch)
        return collected

    return run

"""Places of both kinds: a file, and a database of a real PostgreSQL server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pytest_dora.runtime.sandbox.spec import Tier
from pytest_dora.runtime.services.postgres_cluster import Cluster
from pytest_dora.runtime.services.postgres_install import find_installation

PASSWORD = "top-secret"


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes an empty database and answers its address, for a user who owns it and no more.

    The server is on this machine's own loopback, where a team's clients would reach it.
    """
    folder = tmp_path_factory.mktemp("postgres")
    numbers = itertools.count()
    with closing(
        Cluster(find_installation(), folder / "cache", folder / "run", Tier.NONE)
    ) as server:
        server.sql(f"CREATE ROLE team LOGIN PASSWORD '{PASSWORD}'")

        def make() -> str:
            name = f"delivery{next(numbers)}"
            server.sql(f"CREATE DATABASE {name} OWNER team TEMPLATE template0")
            return f"postgresql://team:{PASSWORD}@127.0.0.1:{server.port}/{name}"

        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/dora.db"
    make: Callable[[], str] = request.getfixturevalue("database")
    return make()

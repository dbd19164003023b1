"""``dora_app``: the apps of a run as a fixture of ordinary test functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_dora.runtime.session import AppSession

SESSIONS = pytest.StashKey[Callable[[str], Any]]()
"""Gives the session of an app; present in a run with ``--dora``."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``dora_app`` once per app."""
    if "dora_app" not in metafunc.fixturenames or SESSIONS not in metafunc.config.stash:
        return
    from pytest_dora.plugin.state import STATE
    from pytest_dora.plugin.text import node_name

    ids = [app.app_id for app in metafunc.config.stash[STATE].apps]
    metafunc.parametrize("dora_app", ids, indirect=True, ids=[node_name(one) for one in ids])


@pytest.fixture
def dora_app(request: pytest.FixtureRequest) -> AppSession:
    """One app of the run: ``.app``, ``.plan``, ``.path``, and its stages (``.server()`` …).

    The session is the one that the checks of the app use; a stage that cannot be reached raises
    StageFailed.
    """
    if SESSIONS not in request.config.stash:
        pytest.skip("dora_app needs --dora and a folder of apps")
    session: AppSession = request.config.stash[SESSIONS](request.param)
    return session

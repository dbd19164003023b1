"""What only a worker of xdist does: end with its controller, and end in order."""

from __future__ import annotations

import pytest

from pytest_dora.plugin.watch import Termination, watch_parent


class Worker:
    """Registered in worker processes."""

    def __init__(self, controller: int) -> None:
        self._termination = Termination()
        watch_parent(controller, _kill_sandboxes)

    def pytest_sessionstart(self) -> None:
        self._termination.install()

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        self._termination.ending = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        # not restored: a signal that comes while sessions close must not cut that short
        self._termination.ending = True


def _kill_sandboxes() -> None:
    from pytest_dora.runtime.sandbox.box import kill_all

    kill_all()

"""The nodes of a run: one fleet file, a collector per app, an item per check."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_dora.checks.registry import CheckSpec
from pytest_dora.model.app import App
from pytest_dora.plugin.state import STATE, RunState
from pytest_dora.plugin.text import node_name, one_line

if TYPE_CHECKING:
    from typing import Self

    from _pytest._code.code import ExceptionInfo, TerminalRepr, TracebackStyle


class Collection:
    """Makes the fleet file a collector."""

    def __init__(self, state: RunState) -> None:
        self._state = state

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> FleetFile | None:
        if file_path != self._state.fleet_file:
            return None
        return FleetFile.from_parent(parent, path=file_path)


class FleetFile(pytest.File):
    """Collects the apps that the controller found; the file itself is not read again."""

    def collect(self) -> Iterator[AppNode]:
        for app in self.config.stash[STATE].apps:
            yield AppNode.build(self, app)


class AppNode(pytest.Collector):
    """One app. No folder to pytest, so nothing in it is looked for or imported."""

    app: App

    @classmethod
    def build(cls, parent: FleetFile, app: App) -> Self:
        node: Self = cls.from_parent(parent, name=node_name(app.app_id))
        node.app = app
        node.add_marker(pytest.mark.dora)
        node.add_marker(pytest.mark.dora_app(id=app.app_id))
        node.extra_keyword_matches.add(app.app_id)
        return node

    def collect(self) -> Iterator[CheckItem]:
        for spec in self.config.stash[STATE].specs:
            yield CheckItem.build(self, spec)


class CheckItem(pytest.Item):
    """One check of one app."""

    app: App
    spec: CheckSpec

    @classmethod
    def build(cls, parent: AppNode, spec: CheckSpec) -> Self:
        item: Self = cls.from_parent(parent, name=spec.id)
        item.app = parent.app
        item.spec = spec
        item.add_marker(pytest.mark.dora_check(id=spec.id))
        return item

    def runtest(self) -> None:
        """Ask the check, and raise what pytest calls its answer."""
        from pytest_dora.plugin.execution import EXECUTION

        self.config.stash[EXECUTION].run(self)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        # a line of None together with a skip ends pytest with an internal error
        return self.path, 0, one_line(f"{self.app.app_id} :: {self.spec.id}")

    def repr_failure(
        self, excinfo: ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        """The answer in a few lines; a traceback only for what is no answer of a check."""
        from pytest_dora.plugin.verdict import CheckFailed, failure_text

        if isinstance(excinfo.value, CheckFailed):
            return failure_text(excinfo.value, self)
        return super().repr_failure(excinfo, style)

"""One app's evaluation on one worker: every stage lazy, memoised, timed, undone at the end."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TypeVar

from pytest_dora.discovery import discover
from pytest_dora.discovery.generations import read_claimed
from pytest_dora.discovery.measure import measure
from pytest_dora.model.app import App
from pytest_dora.model.fleet import AppFacts
from pytest_dora.model.plan import Ecosystem, Package, Plan
from pytest_dora.model.result import Finding, Outcome
from pytest_dora.model.settings import Settings
from pytest_dora.runtime import environment, stages
from pytest_dora.runtime.engine import Engine, hash_text, safe_name
from pytest_dora.runtime.output import clean
from pytest_dora.runtime.sandbox.select import choose_tier
from pytest_dora.runtime.sandbox.spec import Tier
from pytest_dora.runtime.server import RunningApp
from pytest_dora.runtime.services.provide import Provided, provide
from pytest_dora.runtime.stage import Stage, StageFailed
from pytest_dora.runtime.toolchains import Toolchain, ToolMissing
from pytest_dora.runtime.view import Access, WorkspaceView
from pytest_dora.runtime.workspace import WorkspaceFull, relocate, tree_copy

_T = TypeVar("_T")
_TESTS = "tests"
_engines: dict[Path, Engine] = {}


def open_session(
    app: App, settings: Settings, run_dir: Path, wanted: Collection[Stage] = ()
) -> AppSession:
    """The session of one app; sessions of one run folder share an engine.

    ``wanted`` are stages that will be asked for: they may be prepared while others are reached.
    Raises SandboxUnavailable when no sandbox works here.
    """
    engine = _engines.get(run_dir)
    if engine is None:
        engine = _engines[run_dir] = Engine(settings, run_dir, choose_tier(settings.sandbox))
        # npm takes a while to say it, and there is other work until it is needed
        threading.Thread(target=environment.npm_registry, daemon=True).start()
    return AppSession(app, settings, engine, wanted)


def close_engines() -> None:
    """End everything shared; to be called once when the worker ends."""
    while _engines:
        _engines.popitem()[1].close()


class AppSession:
    """The stages of one app. A stage is reached when first asked for, and remembered,
    also when it failed."""

    def __init__(
        self, app: App, settings: Settings, engine: Engine, wanted: Collection[Stage] = ()
    ) -> None:
        self.app = app
        self.settings = settings
        self.engine = engine
        self.findings: dict[Stage, list[Finding]] = {stage: [] for stage in Stage}
        self._reached: dict[Stage, object] = {}
        self._plan: Plan | None = None
        self._facts: AppFacts | None = None
        self._toolchains: tuple[Toolchain, ...] | None = None
        self._provided: dict[Stage, Provided] = {}
        self._wanted = frozenset(wanted)
        self._copying: Future[None] | None = None

    @property
    def path(self) -> Path:
        if self.app.path is None:
            raise StageFailed(
                Stage.INSTALLED,
                Outcome.FAILED,
                "generation_failed",
                "the generation left no folder",
            )
        return self.app.path

    @property
    def plan(self) -> Plan:
        if self._plan is None:
            self._plan = discover(self.path)
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        """A stack of a third party replaces what was discovered."""
        self._plan = plan

    @property
    def folder(self) -> Path:
        return self.engine.work / safe_name(self.app.app_id)

    @property
    def toolchains(self) -> tuple[Toolchain, ...]:
        """Everything that the app's packages need. Raises StageFailed (inconclusive)."""
        if self._toolchains is None:
            try:
                tools = [
                    tool
                    for package in self.plan.packages
                    for tool in self.engine.toolchains.resolve(package, self.path)
                ]
            except ToolMissing as missing:
                raise StageFailed(
                    Stage.INSTALLED, Outcome.INCONCLUSIVE, "tool_missing", str(missing)
                ) from missing
            self._toolchains = tuple({(tool.name, tool.version): tool for tool in tools}.values())
        return self._toolchains

    def python(self, package: Package) -> str | None:
        """The interpreter of a Python package."""
        if package.ecosystem is not Ecosystem.PYTHON:
            return None
        tools = self.engine.toolchains.resolve(package, self.path)
        return next(str(tool.executable) for tool in tools if tool.name == "python")

    # --- stages -----------------------------------------------------------------------------

    def installed(self) -> WorkspaceView:
        """A clean copy with its dependencies, as no command of the app has touched it."""
        return self._reach(Stage.INSTALLED, self._install)

    def tests_workspace(self) -> WorkspaceView:
        """A copy of ``installed`` to run tests and type checks in, with its own services."""
        return self._reach(Stage.TESTS_WORKSPACE, self._copy)

    def built(self) -> WorkspaceView:
        """A copy of ``installed`` in which every build step has succeeded."""
        return self._reach(Stage.BUILT, lambda: stages.build(self))

    def server(self) -> RunningApp:
        """The built app, started, answering HTTP."""
        return self._reach(Stage.SERVER, lambda: stages.serve(self))

    def reset(self, *wanted: Stage) -> None:
        """Forget stages, so that the next question reaches them afresh."""
        for stage in wanted:
            self._undo(stage)

    def _reach(self, stage: Stage, make: Callable[[], _T]) -> _T:
        known = self._reached.get(stage)
        if known is None:
            self.findings[stage].clear()
            try:
                known = make()
            except StageFailed as failure:
                known = failure
            except WorkspaceFull as full:
                known = StageFailed(stage, Outcome.INCONCLUSIVE, "disk_full", str(full))
            self._reached[stage] = known
        if isinstance(known, StageFailed):
            raise known
        return known  # type: ignore[return-value]

    def _install(self) -> WorkspaceView:
        self._drop_copy()
        return stages.install(self)

    def copy_ahead(self, source: Path) -> None:
        """Begin the copy for the tests, if it will be asked for, beside what a build does."""
        if Stage.TESTS_WORKSPACE in self._wanted and Stage.TESTS_WORKSPACE not in self._reached:
            self._drop_copy()
            target = self.folder / _TESTS
            self._copying = self.engine.background.submit(self.copy_tree, source, target)

    def _copy(self) -> WorkspaceView:
        base, target = self.installed(), self.folder / _TESTS
        copying, self._copying = self._copying, None
        if copying is None:
            self.engine.discard(target)
            self.copy_tree(base.root, target)
        else:
            copying.result()
        return self.view(target, Stage.TESTS_WORKSPACE, "tests")

    def _drop_copy(self) -> None:
        """Throw away a copy that was made ahead and that nobody asked for."""
        copying, self._copying = self._copying, None
        if copying is not None:
            wait([copying])
            self.engine.discard(self.folder / _TESTS)

    def copy_tree(self, source: Path, target: Path) -> None:
        """Copy a tree of ours; where trees have no fixed place inside, mend what names theirs."""
        tree_copy(source, target)
        if self.engine.tier is not Tier.BUBBLEWRAP:
            relocate(target, source)

    def view(self, root: Path, stage: Stage, log: str) -> WorkspaceView:
        """A view of one of our trees, with the services that the app needs."""
        services = self.services(stage)
        # what services hand over is stronger than what the app declares of itself
        env = {**environment.declared(self.plan), **services.env}
        access = Access(hosts=services.hosts, env=env)
        view = WorkspaceView(
            self.engine, self.app.app_id, self.plan, root, self.toolchains, access, log
        )
        for port, relay in services.bridges:
            view.bridge(port, relay)
        return view

    def services(self, stage: Stage) -> Provided:
        """Fresh services for a stage; the same ones while the stage lasts."""
        if stage not in self._provided:
            self._provided[stage] = provide(self.plan, self.app.app_id, stage, self.engine)
        return self._provided[stage]

    def renew_services(self, stage: Stage) -> None:
        """Throw a stage's services away: the next view of it gets fresh ones."""
        services = self._provided.pop(stage, None)
        if services is not None:
            services.close()

    def _undo(self, stage: Stage) -> None:
        known = self._reached.pop(stage, None)
        if isinstance(known, WorkspaceView | RunningApp):
            known.close()
        self.renew_services(stage)
        root = known.root if isinstance(known, WorkspaceView) else None
        if root is not None and root != self.folder / "installed":
            self.engine.discard(root)

    def close(self, failed: bool = False) -> None:
        """End everything of this app and remove its workspaces (``--dora-keep`` decides)."""
        keep = self.settings.keep.value
        self._drop_copy()
        for stage in reversed(Stage):
            known = self._reached.get(stage)
            if isinstance(known, WorkspaceView | RunningApp):
                known.close()
        for services in self._provided.values():
            services.close()
        self._provided.clear()
        self._reached.clear()
        if keep == "never" or (keep == "failed" and not failed):
            self.engine.discard(self.folder)

    # --- evidence ---------------------------------------------------------------------------

    def facts(self) -> AppFacts:
        """What the folder says of itself: plan, lines of code, fingerprint, versions."""
        if self._facts is None:
            found = measure(self.path)
            self._facts = AppFacts(
                app_id=self.app.app_id,
                stack=self.plan.stack,
                fingerprint=found.fingerprint,
                loc=found.loc,
                files=found.files,
                plan=self.plan,
                claimed=read_claimed(self.path),
                toolchains=self._versions(),
            )
        return self._facts

    def _versions(self) -> dict[str, str]:
        try:
            return {tool.name: tool.version for tool in self.toolchains}
        except StageFailed:
            return {}

    def log_name(self, check_id: str) -> str | None:
        path = self.engine.log_folder(self.app.app_id) / f"{check_id}.log"
        return str(path.relative_to(self.engine.run_dir)) if path.exists() else None

    def log_exception(self, check_id: str, error: BaseException) -> None:
        """Keep the traceback of an error of ours beside the check's log."""
        path = self.engine.log_folder(self.app.app_id) / f"{check_id}.log"
        text = "".join(traceback.format_exception(error))
        with path.open("a", errors="replace") as log:
            log.write(clean(text))

    def cache_key(self, check_id: str, version: int) -> str:
        """Equal keys mean that the same question would be asked of the same app again."""
        facts = self.facts() if self.app.path is not None else None
        parts = (
            facts.fingerprint if facts else self.app.app_id,
            check_id,
            str(version),
            repr(sorted((facts.toolchains if facts else {}).items())),
            self.engine.tier.value,
            self.settings.limits.model_dump_json(),
            repr(os.uname().machine),
        )
        return hash_text("\0".join(str(part) for part in parts))

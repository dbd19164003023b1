"""Running items: a session per app, opened late and closed early, and an answer for each check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_dora.checks.registry import CheckSpec, evaluate
from pytest_dora.model.app import App
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.plugin.fixtures import SESSIONS
from pytest_dora.plugin.nodes import CheckItem
from pytest_dora.plugin.ordering import app_of
from pytest_dora.plugin.spool import Spool, plain
from pytest_dora.plugin.state import Pair, RunState
from pytest_dora.plugin.text import one_line
from pytest_dora.plugin.verdict import CheckFailed, Verdict, headline, verdict
from pytest_dora.runtime.session import AppSession, close_engines, open_session
from pytest_dora.runtime.stage import Stage, StageFailed

EXECUTION = pytest.StashKey["Execution"]()
_RESULT = pytest.StashKey[CheckResult]()


class Execution:
    """Lives in every process that runs items; idle in a controller that has workers."""

    def __init__(self, config: pytest.Config, state: RunState) -> None:
        self._config = config
        self._state = state
        name = getattr(config, "workerinput", {}).get("workerid", "main")
        self._spool = Spool(state.run_dir / "spool", name)
        self._open: dict[str, AppSession] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._told: set[str] = set()
        self._reported_failed: dict[Pair, bool] = {}
        self._failed_apps: set[str] = set()
        self._ran: Counter[str] = Counter()
        config.stash[EXECUTION] = self
        config.stash[SESSIONS] = self.session

    # --- sessions ---------------------------------------------------------------------------

    def session(self, app_id: str) -> AppSession:
        """The app's session on this process. Raises SandboxUnavailable."""
        known = self._open.get(app_id)
        if known is None:
            app = self._state.by_id[app_id]
            asked = self._state.selected_checks
            stages = {one for spec in self._state.specs if spec.id in asked for one in spec.stages}
            known = open_session(app, self._state.settings, self._state.run_dir, stages)
            self._open[app_id] = known
            self._discover(app, known)
        return known

    def _discover(self, app: App, session: AppSession) -> None:
        """Let a stack of a third party replace the plan."""
        if app.path is None or not self._config.hook.pytest_dora_discover.get_hookimpls():
            return
        plan = self._config.hook.pytest_dora_discover(root=Path(app.path), plan=session.plan)
        if plan is not None:
            session.plan = plan

    def _close(self, app_id: str) -> None:
        session = self._open.pop(app_id, None)
        if session is not None:
            session.close(app_id in self._failed_apps)

    # --- one item ---------------------------------------------------------------------------

    def run(self, item: CheckItem) -> None:
        """Evaluate an item and raise what pytest calls its answer."""
        app_id, check_id = item.app.app_id, item.spec.id
        again = self._ran[item.nodeid] > 0
        self._ran[item.nodeid] += 1
        self._spool.started(app_id, check_id)
        try:
            result = self._evaluate(item.app, item.spec, afresh=again)
        except BaseException as error:
            # Ctrl-C, a time limit of the evaluator: no answer, but no crash of ours either
            self._finish(item, _cut_off(app_id, check_id, error))
            if isinstance(error, pytest.fail.Exception):
                self._close(app_id)  # the next check must not meet a stage that is half reached
            raise
        self._finish(item, result)
        self._raise(result)

    def _evaluate(self, app: App, spec: CheckSpec, *, afresh: bool) -> CheckResult:
        try:
            session = self.session(app.app_id)
            if afresh:
                session.reset(*reversed(Stage))
            result = evaluate(spec, session)
            self._remember_facts(app, session)
        except Exception as error:  # noqa: BLE001
            # ours or a third party's; recorded as such, and never counted against the app
            return _error(app.app_id, spec.id, error)
        return result

    def _remember_facts(self, app: App, session: AppSession) -> None:
        if app.app_id in self._facts or app.path is None:
            return
        try:
            self._facts[app.app_id] = plain(session.facts())
        except StageFailed:
            return
        self._spool.facts(self._facts[app.app_id])

    def _finish(self, item: CheckItem, result: CheckResult) -> None:
        item.stash[_RESULT] = result
        self._spool.finished(plain(result))
        item.user_properties[:] = [
            ("dora.app", result.app_id),
            ("dora.check", result.check_id),
            ("dora.outcome", result.outcome.value),
            ("dora.reason", result.reason or ""),
        ]

    def _raise(self, result: CheckResult) -> None:
        owner = result.blocked_by
        failed = owner is not None and self._has_failed((result.app_id, owner))
        match verdict(result, self._state.settings, owner_failed=failed):
            case Verdict.SKIP:
                raise pytest.skip.Exception(headline(result))
            case Verdict.FAIL | Verdict.COUNTED:
                raise CheckFailed(result)

    def _has_failed(self, pair: Pair) -> bool:
        """Whether an item was reported as failed in this session, also by a worker now dead."""
        if pair in self._reported_failed:
            return self._reported_failed[pair]
        from pytest_dora.report.inputs import read_run

        return any(
            (result.app_id, result.check_id) == pair
            and result.outcome in (Outcome.FAILED, Outcome.ERROR, Outcome.CRASHED)
            for result in read_run(self._state.run_dir).results
        )

    # --- reports ----------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if isinstance(item, CheckItem):
            self._complete(item, call, report)
        return report

    def _complete(
        self, item: CheckItem, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> None:
        """Put the answer into the report, as plain JSON: all that survives the way to it."""
        if call.when == "teardown" or (call.when == "setup" and report.passed):
            return
        result = item.stash.get(_RESULT, None)
        if result is None:
            if report.skipped:
                return  # a skip mark: nobody asked the check
            result = _unasked(item, report)
            self._finish(item, result)
        del item.stash[_RESULT]
        excinfo = call.excinfo
        answered = excinfo is not None and isinstance(excinfo.value, CheckFailed)
        if answered and self._counted(result):
            # said by hand: pytest.xfail() would do nothing under --runxfail, and so pass
            report.outcome = "skipped"
            report.wasxfail = f"counted by the gate: {headline(result)}"
        elif report.skipped and isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), 1, report.longrepr[2])
        pair = (result.app_id, result.check_id)
        self._reported_failed[pair] = report.failed or answered
        if self._reported_failed[pair]:
            self._failed_apps.add(result.app_id)
        facts = None
        if result.app_id not in self._told:
            facts = self._facts.get(result.app_id)
            self._told.add(result.app_id)
        report.dora = {"result": plain(result), "facts": facts}  # type: ignore[attr-defined]

    def _counted(self, result: CheckResult) -> bool:
        settings = self._state.settings
        return verdict(result, settings, owner_failed=False) is Verdict.COUNTED

    # --- the end ----------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> None:
        """Close every session that the next item does not need."""
        following = app_of(nextitem) if nextitem is not None else None
        for app_id in [app_id for app_id in self._open if app_id != following]:
            self._close(app_id)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        for app_id in list(self._open):
            self._close(app_id)
        close_engines()
        self._spool.close()


def _cut_off(app_id: str, check_id: str, error: BaseException) -> CheckResult:
    timed_out = isinstance(error, pytest.fail.Exception)
    said = one_line(str(error)) or type(error).__name__
    if timed_out:
        return CheckResult(
            app_id=app_id, check_id=check_id, outcome=Outcome.ERROR, reason="cut_off", message=said
        )
    return CheckResult(
        app_id=app_id,
        check_id=check_id,
        outcome=Outcome.NOT_RUN,
        reason="interrupted",
        message=f"interrupted: {said}",
        attempts=0,
    )


def _error(app_id: str, check_id: str, error: Exception) -> CheckResult:
    from pytest_dora.runtime.sandbox.spec import SandboxUnavailable

    if isinstance(error, SandboxUnavailable):
        return CheckResult(
            app_id=app_id,
            check_id=check_id,
            outcome=Outcome.INCONCLUSIVE,
            reason="sandbox_unavailable",
            message=str(error),
        )
    return CheckResult(
        app_id=app_id,
        check_id=check_id,
        outcome=Outcome.ERROR,
        reason="internal_error",
        message=f"{type(error).__name__}: {error}",
    )


def _unasked(item: CheckItem, report: pytest.TestReport) -> CheckResult:
    """The item failed before its check was asked: another plugin's doing."""
    return CheckResult(
        app_id=item.app.app_id,
        check_id=item.spec.id,
        outcome=Outcome.ERROR,
        reason="cut_off",
        message=one_line(report.longreprtext.strip().rpartition("\n")[2]),
    )

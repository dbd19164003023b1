"""The one process of a run that knows all: what was expected, what came, what it amounts to."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pytest_dora.model.base import utc_now
from pytest_dora.model.fleet import AppFacts
from pytest_dora.model.report import GateStatus, Report, RunInfo, RunStatus
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.plugin.aggregate import Answers
from pytest_dora.plugin.history import write_history
from pytest_dora.plugin.nodes import CheckItem
from pytest_dora.plugin.scheduler import WorkerNode
from pytest_dora.plugin.state import Pair, RunState
from pytest_dora.plugin.text import node_name, one_line
from pytest_dora.plugin.watch import Termination

_UNJUDGED = frozenset({Outcome.INCONCLUSIVE, Outcome.BLOCKED, Outcome.NOT_RUN})
_RAISABLE = frozenset({pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED})


class Controller:
    """Aggregates and judges; registered in the process that the user started."""

    def __init__(self, config: pytest.Config, state: RunState) -> None:
        self._config = config
        self._state = state
        self._answers = Answers()
        self._collected: tuple[Pair, ...] | None = None
        self._workers: list[WorkerNode] = []
        self._pairs: dict[tuple[str, str], Pair] = {
            (node_name(app.app_id), spec.id): (app.app_id, spec.id)
            for app in state.apps
            for spec in state.specs
        }
        self._run: RunInfo | None = None
        self._termination = Termination()
        self.report: Report | None = None
        self.results: tuple[CheckResult, ...] = ()
        self.problems: list[str] = []
        """Why the session fails though no item did, one line each."""
        self.notes: list[str] = []
        """What else a person should know, one line each."""

    # --- beginning --------------------------------------------------------------------------

    # before xdist starts its workers, which read the fleet from the run's folder
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        from pytest_dora.report.writers import write_started

        self._run = self._run_info()
        try:
            write_started(
                self._run,
                self._state.output,
                fleet=self._state.fleet,
                expected=self._state.expected,
                settings=self._state.settings,
            )
        except OSError as error:
            raise pytest.UsageError(
                f"--dora-output: {self._state.output} cannot be written to: {error}"
            ) from error
        self._termination.install()

    def _run_info(self) -> RunInfo:
        from pytest_dora.report.run import run_info
        from pytest_dora.runtime.doctor import sandbox_facts
        from pytest_dora.runtime.sandbox.spec import SandboxUnavailable

        settings = self._state.settings
        try:
            sandbox = sandbox_facts(settings.sandbox)
        except SandboxUnavailable as error:
            raise pytest.UsageError(f"--dora-sandbox {settings.sandbox.value}: {error}") from error
        tx = self._config.getoption("tx", None) or ()
        distributed = self._config.getoption("dist", "no") != "no"
        return run_info(
            self._state.run_id,
            arguments=[str(one) for one in self._config.invocation_params.args],
            workers=len(tx) if distributed and tx else 1,
            cores=float(len(os.sched_getaffinity(0))),
            sandbox=sandbox,
            shard=settings.shard,
            checks_known=self._state.known_checks,
        )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:
            self._collected = tuple(
                (item.app.app_id, item.spec.id)
                for item in session.items
                if isinstance(item, CheckItem)
            )

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Iterable[str]) -> None:
        pairs = (self._pair(nodeid) for nodeid in ids)
        self._collected = tuple(pair for pair in pairs if pair is not None)

    def _pair(self, nodeid: str) -> Pair | None:
        _, _, names = nodeid.partition("::")
        app, _, check = names.partition("::")
        return self._pairs.get((app, check))

    # --- answers ----------------------------------------------------------------------------

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        again = str(report.outcome) == "rerun"
        payload: Mapping[str, Any] | None = getattr(report, "dora", None)
        if payload is None:
            pair = self._pair(report.nodeid)
            if str(report.when) == "???" and pair is not None:
                self._answers.add_crash(pair, one_line(str(report.longrepr)), again=again)
            return
        result = self._answers.add(CheckResult.model_validate(payload["result"]), again=again)
        if payload["facts"] is not None:
            facts = AppFacts.model_validate(payload["facts"])
            self._answers.facts[facts.app_id] = facts
        if not again:
            self._config.hook.pytest_dora_check_finished(result=result)

    # --- ends that nobody planned ------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: WorkerNode) -> None:
        self._workers.append(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerNode) -> None:
        if node in self._workers:
            self._workers.remove(node)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Ctrl-C in a terminal reaches the workers by itself; a signal to us alone does not."""
        self._termination.ending = True
        self._end_workers()

    def _end_workers(self) -> None:
        for node in self._workers:
            try:
                # cached by xdist when the worker was started
                os.kill(node.gateway._rinfo().pid, signal.SIGTERM)  # noqa: SLF001
            except (OSError, AttributeError):
                continue

    # --- the end ----------------------------------------------------------------------------

    # last: xdist's own part ends the workers, and their last reports arrive in it
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._termination.ending = True
        try:
            self._finish(session)
        except Exception as error:  # noqa: BLE001 - a report that cannot be made fails the run
            self.problems.append(f"the report could not be made: {one_line(repr(error))}")
            self._note_exception(error)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        finally:
            self._termination.restore()

    def _finish(self, session: pytest.Session) -> None:
        from pytest_dora.report.assemble import assemble
        from pytest_dora.report.inputs import read_run
        from pytest_dora.report.writers import write_report

        assert self._run is not None
        recorded = read_run(self._state.run_dir)
        status = self._status(session)
        expected = self._state.expected if self._collected is None else self._collected
        self.results = self._answers.complete(
            expected, recorded.results, interrupted=status is RunStatus.INTERRUPTED
        )
        facts = {one.app_id: one for one in recorded.facts} | self._answers.facts
        run = self._run.model_copy(
            update={"finished_at": utc_now(), "notes": (*self._run.notes, *recorded.notes)}
        )
        self.report = assemble(
            self._state.fleet,
            expected,
            self.results,
            [facts[app_id] for app_id in sorted(facts)],
            run,
            self._state.settings,
            status=status,
        )
        if self._state.settings.store is not None:
            self._observe()
        self.notes += write_report(
            self.report, self.results, list(facts.values()), self._state.output
        )
        write_history(self._state.output / "history.json", self.results)
        self._judge(session, self.report)
        self._config.hook.pytest_dora_write(report=self.report, run_dir=self._state.run_dir)

    def _observe(self) -> None:
        """Record the run, and add what production did; without its store the run fails."""
        from pytest_dora.delivery.store import StoreError
        from pytest_dora.report.observed import with_store

        assert self.report is not None
        try:
            self.report, notes = with_store(self.report, self._state.fleet, self._state.settings)
        except StoreError as error:
            self.problems.append(one_line(str(error)))
        else:
            self.notes += notes

    @staticmethod
    def _status(session: pytest.Session) -> RunStatus:
        if session.exitstatus == pytest.ExitCode.INTERNAL_ERROR:
            return RunStatus.ERROR
        stopped = session.shouldfail or session.shouldstop
        if stopped or session.exitstatus == pytest.ExitCode.INTERRUPTED:
            return RunStatus.INTERRUPTED
        return RunStatus.FINISHED

    def _judge(self, session: pytest.Session, report: Report) -> None:
        """Raise the exit status where the run as a whole fails; never lower it."""
        if not self._state.apps:
            self.problems.append("no apps were found")
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
            return
        if not self.results:
            return  # everything was deselected; pytest says so, and fails
        missing = sum(one.outcome is Outcome.NOT_RUN for one in self.results)
        if missing:
            self.problems.append(f"{missing} of {len(self.results)} checks have no answer")
        if all(one.outcome in _UNJUDGED for one in self.results):
            self.problems.append("nothing was judged")
        gate = report.gate
        refused = gate.status is GateStatus.NOT_EVALUATED or gate.met is False
        if (self.problems or refused) and session.exitstatus in _RAISABLE:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _note_exception(self, error: Exception) -> None:
        """Keep the traceback where somebody can mend it, and a report that says what happened."""
        from pytest_dora.report.assemble import assemble
        from pytest_dora.report.writers import write_report

        try:
            self._state.run_dir.mkdir(parents=True, exist_ok=True)
            path = self._state.run_dir / "internal-error.log"
            path.write_text("".join(traceback.format_exception(error)), errors="replace")
            self.problems.append(f"the traceback stands in {path}")
            if self._run is not None and self.report is None:
                report = assemble(
                    self._state.fleet, self._state.expected, (), (), self._run,
                    self._state.settings, status=RunStatus.ERROR,
                )  # fmt: skip
                write_report(report, (), (), self._state.output)
        except Exception as second:  # noqa: BLE001 - a full disk, or our own models
            self.problems.append(f"nor could the error be kept: {one_line(repr(second))}")

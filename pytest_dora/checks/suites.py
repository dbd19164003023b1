"""Running one test suite and judging what came back."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_dora.checks.coverage import Coverage
from pytest_dora.checks.outbox import Outbox
from pytest_dora.checks.runners import instrument
from pytest_dora.checks.runners.base import Bench, Counts, Failure, Instrumented
from pytest_dora.checks.tree import own_path
from pytest_dora.model.plan import TestRunner, TestSuite
from pytest_dora.model.result import Outcome
from pytest_dora.runtime.diagnosis import first_error
from pytest_dora.runtime.sandbox.spec import Completed

if TYPE_CHECKING:
    from pytest_dora.runtime.view import WorkspaceView

_NO_TESTS = re.compile(
    r"No tests? found|No test files found|no tests ran|No tests executed|collected 0 items"
    r"|Ran 0 tests|NO TESTS RAN",
    re.IGNORECASE,
)
_NOT_INSTALLED = re.compile(
    r"^(?:/bin/)?(?:sh|bash)(?:: line)?: \d+: \S+: (?:command )?not found$"
    r"|No module named '?(?:pytest|django)'?$|^error: Script not found|^error: command not found: ",
    re.IGNORECASE | re.MULTILINE,
)
_NO_COVERAGE = re.compile(r"^no coverage: (.{1,300})$", re.MULTILINE)
_PYTEST_NO_TESTS = 5
_COMMAND_NOT_FOUND = 127


@dataclass(frozen=True)
class Verdict:
    """What a suite's end means. ``reason`` is None exactly when it passed."""

    outcome: Outcome
    reason: str | None
    message: str


@dataclass(frozen=True)
class SuiteResult:
    """One suite, run: how it ended, what its reports say, and what that means."""

    suite: TestSuite
    done: Completed
    counts: Counts | None
    coverage: Coverage | None
    coverage_missing: str | None
    verdict: Verdict


def run_suite(view: WorkspaceView, suite: TestSuite, timeout: float) -> SuiteResult:
    """Run a suite with reports and coverage.

    Where all tests passed and the command still failed, or left no report, it is run once more
    without coverage: the verdict is to be about the app's tests, not about our measuring them.
    """
    measured = _run(view, suite, timeout, coverage=True)
    if measured.verdict.reason not in ("command_failed", "report_missing"):
        return measured
    if suite.runner in (TestRunner.COMMAND, TestRunner.PHPUNIT):
        return measured
    plain = _run(view, suite, timeout, coverage=False)
    if plain.verdict.reason is None:
        return replace(plain, coverage_missing="the suite fails when coverage is measured")
    return measured


def _run(view: WorkspaceView, suite: TestSuite, timeout: float, *, coverage: bool) -> SuiteResult:
    bench = Bench(
        suite=suite,
        root=view.root,
        workdir=view.workdir,
        box=Outbox(view),
        versions=view.toolchain_versions(suite.package),
        coverage=coverage,
    )
    prepared = instrument(bench)
    done = view.run(
        prepared.argv,
        cwd=suite.cwd,
        env={**prepared.env, **suite.env},
        package=suite.package,
        timeout=timeout,
        name=f"tests {suite.name}",
        log="tests",
    )
    counts = _in_the_app(prepared.counts(done.output), bench)
    covered = prepared.covered() if coverage else None
    told = _NO_COVERAGE.search(done.output)
    missing = prepared.coverage_missing or (
        told[1] if told else "the runner left no coverage report"
    )
    return SuiteResult(
        suite=suite,
        done=done,
        counts=counts,
        coverage=covered,
        coverage_missing=None if covered else missing,
        verdict=judge(done, counts, prepared),
    )


def _in_the_app(counts: Counts | None, bench: Bench) -> Counts | None:
    """Counts whose failures name files relative to the app's root."""
    if counts is None:
        return None
    prefix = bench.workdir.rstrip("/") + "/"

    def plain(failure: Failure) -> Failure:
        name, _, line = (failure.location or "").partition(":")
        path = own_path(name, bench.workdir, bench.suite.cwd) if name else None
        place = f"{path}:{line}" if path and line else path
        return Failure(failure.name.replace(prefix, ""), failure.message.replace(prefix, ""), place)

    return replace(counts, failures=tuple(map(plain, counts.failures)))


def judge(done: Completed, counts: Counts | None, prepared: Instrumented) -> Verdict:
    """Passed only for exit 0 and a report by which at least one test ran and none failed."""
    stopped = _stopped(done)
    if stopped is not None:
        return stopped
    said = first_error(done.output)
    if counts is None:
        return _without_report(done, said, prepared)
    if counts.failed or counts.broken:
        reason = "collection_error" if counts.broken else "tests_failed"
        return _failed(reason, _first(counts, said))
    if counts.executed == 0:
        return _nothing_ran(done, counts, said)
    if not done.ok:
        return _failed("command_failed", f"{_status(done)} although every test passed: {said}")
    return Verdict(Outcome.PASSED, None, f"{counts.passed} passed")


def _stopped(done: Completed) -> Verdict | None:
    if done.timed_out:
        return _failed("timeout", f"no end after {done.seconds:.0f} s; last: {_last(done.output)}")
    if done.killed_for == "sandbox":
        return Verdict(Outcome.INCONCLUSIVE, "sandbox_lost", "the sandbox ended under the tests")
    if done.killed_for:
        return _failed(f"killed_{done.killed_for}", f"ended by us: too much {done.killed_for}")
    return None


def _nothing_ran(done: Completed, counts: Counts, said: str) -> Verdict:
    if counts.skipped:
        return _failed("all_skipped", f"all of the {counts.skipped} tests were skipped")
    if done.ok or _says_no_tests(done):
        return _failed("no_tests", "the runner found no test")
    return _failed("collection_error", said)


def _without_report(done: Completed, said: str, prepared: Instrumented) -> Verdict:
    if done.ok and not prepared.machine_readable:
        return Verdict(
            Outcome.INCONCLUSIVE, "count_unknown", "exit 0, but nothing says how many tests ran"
        )
    if _says_no_tests(done):
        return _failed("no_tests", "the runner found no test")
    if done.ok:
        return _failed("report_missing", f"exit 0 without a report: ended early? {said}")
    if done.exit_code == _COMMAND_NOT_FOUND or _NOT_INSTALLED.search(done.output[-500:]):
        return _failed("tool_not_installed", said)
    return _failed("command_failed", f"{_status(done)}: {said}")


def _says_no_tests(done: Completed) -> bool:
    return done.exit_code == _PYTEST_NO_TESTS or _NO_TESTS.search(done.output) is not None


def _first(counts: Counts, said: str) -> str:
    if not counts.failures:
        return f"{counts.failed} failed, {counts.broken} could not be loaded: {said}"
    one = counts.failures[0]
    return f"{one.name}: {one.message or said}"


def _failed(reason: str, message: str) -> Verdict:
    return Verdict(Outcome.FAILED, reason, message[:500])


def _status(done: Completed) -> str:
    return f"signal {done.signal}" if done.signal else f"exit {done.exit_code}"


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing printed"

"""The app's own tests: at least one ran, none failed, and by how much they cover the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from pytest_dora.checks.assertions import Assertions, measure_assertions
from pytest_dora.checks.coverage import Coverage, union
from pytest_dora.checks.suites import SuiteResult, run_suite
from pytest_dora.model.plan import Plan
from pytest_dora.model.result import CheckResult, Finding, FindingOutcome, Outcome, Remediation
from pytest_dora.runtime.stage import Stage

if TYPE_CHECKING:
    from pytest_dora.runtime.session import AppSession

_WORST_FIRST = (Outcome.FAILED, Outcome.INCONCLUSIVE)
_ADVICE = {
    "no_tests": "Write tests, at least for what the app is for.",
    "all_skipped": "Make at least one test run: what is always skipped tests nothing.",
    "tests_failed": "Mend the app or the test.",
    "collection_error": "Make every test file load.",
    "timeout": "Make the test run end by itself: no watch mode, no open handles, no endless wait.",
    "tool_not_installed": "Add the test runner to the development dependencies.",
    "report_missing": "Let the runner end by itself: no process.exit or os._exit in tests.",
    "command_failed": "Make the command exit 0 when its tests pass.",
    "count_unknown": "Name a runner that writes machine-readable reports in the test script.",
}


def check_tests(session: AppSession) -> CheckResult:
    """Run every suite of the plan in a fresh copy, with the app's services in reach."""
    plan = session.plan
    if not plan.recognised:
        session.tests_workspace()  # says why nothing can be reached
    if not plan.tests:
        return _no_suites(session)
    view = session.tests_workspace()
    before = len(view.timings)
    results = [
        run_suite(view, suite, session.settings.limits.tests_seconds) for suite in plan.tests
    ]
    asserted = measure_assertions(view.root, test_files(plan))
    worst = _worst(results)
    outcome, reason = worst.verdict.outcome, worst.verdict.reason
    message = _summary(results) if reason is None else _named(worst, len(results))
    lacking = [kind.value for kind in session.services(Stage.TESTS_WORKSPACE).missing]
    if outcome is Outcome.FAILED and lacking and reason in ("tests_failed", "collection_error"):
        outcome, reason = Outcome.INCONCLUSIVE, "service_missing"
        message = f"needs {', '.join(lacking)}, which is not provided here; {message}"
    return CheckResult(
        app_id=session.app.app_id,
        check_id="tests",
        outcome=outcome,
        reason=reason,
        message=message,
        findings=(*(_finding(one) for one in results), _assertions_finding(asserted)),
        measurements=measurements(results, asserted),
        timings=tuple(view.timings[before:]),
    )


def test_files(plan: Plan) -> tuple[str, ...]:
    """The test files of all suites, each once."""
    return tuple(dict.fromkeys(name for suite in plan.tests for name in suite.files))


def measurements(results: Sequence[SuiteResult], asserted: Assertions) -> dict[str, JsonValue]:
    """Numbers of all suites together and of each; ``coverage_pct`` is null when not measured."""
    counted = [one.counts for one in results if one.counts is not None]
    covered = union(one.coverage for one in results if one.coverage is not None)
    totals: dict[str, JsonValue] = {
        "tests_total": sum(one.total for one in counted),
        "passed": sum(one.passed for one in counted),
        "failed": sum(one.failed for one in counted),
        "skipped": sum(one.skipped for one in counted),
        "broken_files": sum(one.broken for one in counted),
    }
    return {
        **totals,
        **_coverage_numbers(covered),
        "coverage_missing": [
            f"{one.suite.name}: {one.coverage_missing}" for one in results if one.coverage_missing
        ],
        "test_functions": asserted.functions,
        "test_functions_without_assertion": asserted.without,
        "suites": [_suite_numbers(one) for one in results],
    }


def _coverage_numbers(covered: Coverage) -> dict[str, JsonValue]:
    known = covered.percent is not None
    return {
        "coverage_pct": covered.percent,
        "coverage_files": len(covered.files) if known else None,
        "lines_covered": covered.covered if known else None,
        "lines_total": covered.lines if known else None,
    }


def _suite_numbers(one: SuiteResult) -> JsonValue:
    counts = one.counts
    return {
        "name": one.suite.name,
        "runner": one.suite.runner.value,
        "cwd": one.suite.cwd,
        "passed": counts.passed if counts else None,
        "failed": counts.failed if counts else None,
        "skipped": counts.skipped if counts else None,
        "coverage_pct": one.coverage.percent if one.coverage else None,
        "seconds": round(one.done.seconds, 3),
        "exit_code": one.done.exit_code,
    }


def _worst(results: Sequence[SuiteResult]) -> SuiteResult:
    for outcome in _WORST_FIRST:
        for one in results:
            if one.verdict.outcome is outcome:
                return one
    return results[0]


def _summary(results: Sequence[SuiteResult]) -> str:
    passed = sum(one.counts.passed for one in results if one.counts)
    skipped = sum(one.counts.skipped for one in results if one.counts)
    covered = union(one.coverage for one in results if one.coverage).percent
    parts = [f"{passed} passed"]
    if skipped:
        parts.append(f"{skipped} skipped")
    if covered is not None:
        parts.append(f"{covered:g} % of lines covered")
    return ", ".join(parts)


def _named(one: SuiteResult, suites: int) -> str:
    where = one.suite.name if one.suite.cwd in (".", one.suite.name) else one.suite.cwd
    return f"{where}: {one.verdict.message}" if suites > 1 else one.verdict.message


def _finding(one: SuiteResult) -> Finding:
    verdict, counts = one.verdict, one.counts
    failed = verdict.outcome is Outcome.FAILED
    outcome = FindingOutcome.PASS if verdict.reason is None else FindingOutcome.UNAVAILABLE
    failures = counts.failures if counts else ()
    return Finding(
        probe="tests.suite",
        outcome=FindingOutcome.FAIL if failed else outcome,
        tier="dynamic",
        message=f"{one.suite.name}: {verdict.message}"[:500],
        locations=tuple(dict.fromkeys(each.location for each in failures[:20] if each.location)),
        evidence={
            "command": " ".join(one.suite.argv),
            "source": one.suite.source,
            "exit_code": one.done.exit_code,
            "reason": verdict.reason,
            "failures": [f"{each.name}: {each.message}" for each in failures[:20]],
            "output": one.done.output[-2000:] if verdict.reason else "",
        },
        remediation=_remediation(verdict.reason) if verdict.reason else None,
    )


def _remediation(reason: str) -> Remediation:
    text = _ADVICE.get(reason, "Make the test run end within its limits.")
    return Remediation(effort="high" if reason == "no_tests" else "medium", text=text)


def _assertions_finding(asserted: Assertions) -> Finding:
    """Informational: it never decides the check."""
    if not asserted.functions:
        return Finding(
            probe="tests.assertions",
            outcome=FindingOutcome.UNAVAILABLE,
            tier="static",
            message="no test function was recognised in the sources",
        )
    some = asserted.without > 0
    return Finding(
        probe="tests.assertions",
        outcome=FindingOutcome.FAIL if some else FindingOutcome.PASS,
        tier="static",
        message=f"{asserted.without} of {asserted.functions} test functions assert nothing",
        locations=asserted.locations,
        evidence={"share_without": asserted.share_without},
        remediation=Remediation(
            effort="low", text="Assert on values the app returns, not only that nothing is raised."
        )
        if some
        else None,
    )


def _no_suites(session: AppSession) -> CheckResult:
    message = "no tests were found"
    return CheckResult(
        app_id=session.app.app_id,
        check_id="tests",
        outcome=Outcome.FAILED,
        reason="no_tests",
        message=message,
        findings=(
            Finding(
                probe="tests.suite",
                outcome=FindingOutcome.FAIL,
                tier="static",
                message=message,
                remediation=_remediation("no_tests"),
            ),
        ),
        measurements={"tests_total": 0, "coverage_pct": None, "suites": []},
    )

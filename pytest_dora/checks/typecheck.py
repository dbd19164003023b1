"""The project's own type checkers: no error in more than no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from pydantic import JsonValue

from pytest_dora.checks.escapes import TYPED_SUFFIXES, count_escapes
from pytest_dora.checks.strictness import strict_flags
from pytest_dora.checks.tree import sources
from pytest_dora.checks.typecheckers import check
from pytest_dora.checks.typecheckers.base import Checked, Desk, count
from pytest_dora.model.result import CheckResult, Finding, FindingOutcome, Outcome, Remediation
from pytest_dora.runtime.stage import Stage

if TYPE_CHECKING:
    from pytest_dora.runtime.session import AppSession
    from pytest_dora.runtime.view import WorkspaceView

_WORST_FIRST = (Outcome.FAILED, Outcome.INCONCLUSIVE)
_ADVICE = {
    "type_errors": "Correct the types; every error names its file and line.",
    "nothing_checked": "Point the configuration at the sources (`include`), so that it checks them.",
    "tool_not_installed": "Add the type checker to the development dependencies.",
    "tool_missing": "Add the type checker to the development dependencies.",
    "command_failed": "Make the type checker run: it ended before it could judge anything.",
    "timeout": "Let the type checker look at the sources only, not at build output or dependencies.",
}


def check_typecheck(session: AppSession) -> CheckResult:
    """Run every type check of the plan, each with the project's own tool."""
    plan = session.plan
    if not plan.recognised:
        session.tests_workspace()  # says why nothing can be reached
    if not plan.typechecks:
        return CheckResult(
            app_id=session.app.app_id,
            check_id="typecheck",
            outcome=Outcome.NOT_APPLICABLE,
            reason="no_type_configuration",
            message="the app configures no type checker",
        )
    view = session.tests_workspace()
    before = len(view.timings)
    timeout = session.settings.limits.typecheck_seconds
    results = [check(Desk(view, step, timeout)) for step in plan.typechecks]
    numbers = measurements(view, results)
    timings = tuple(view.timings[before:])
    if any(one.emitted for one in results):
        session.reset(Stage.TESTS_WORKSPACE)  # compiled tests would be found and run again
    worst = _worst(results)
    return CheckResult(
        app_id=session.app.app_id,
        check_id="typecheck",
        outcome=worst.outcome,
        reason=worst.reason,
        message=_message(worst, results),
        findings=tuple(_finding(one) for one in results),
        measurements=numbers,
        timings=timings,
    )


def measurements(view: WorkspaceView, results: Sequence[Checked]) -> dict[str, JsonValue]:
    """Errors and files of all steps, and how strict the program is with itself."""
    folders = _outermost({one.step.cwd for one in results})
    files = chain.from_iterable(sources(view.root, folder, TYPED_SUFFIXES) for folder in folders)
    escapes = count_escapes(files).as_numbers()
    codes: Counter[str] = Counter()
    for one in results:
        codes.update(one.by_code)
    known = [one.files for one in results if one.files is not None]
    strict: dict[str, JsonValue] = {
        f"{one.step.tool.value} {config}": dict(strict_flags(view.root, config, one.step.tool))
        for one in results
        if (config := one.step.config) is not None
    }
    return {
        "errors": sum(len(one.errors) for one in results),
        "errors_in_dependencies": sum(one.elsewhere for one in results),
        "files_checked": sum(known) if known else None,
        "by_code": dict(codes.most_common(10)),
        "strict": strict,
        **escapes,
        "steps": [
            {
                "name": one.step.name,
                "tool": one.step.tool.value,
                "errors": len(one.errors),
                "files": one.files,
                "reason": one.reason,
            }
            for one in results
        ],
    }


def _outermost(folders: set[str]) -> list[str]:
    """Folders without those that lie inside another of them, so that no file counts twice."""
    if "." in folders:
        return ["."]
    return sorted(
        folder for folder in folders if not any(folder.startswith(f"{other}/") for other in folders)
    )


def _worst(results: Sequence[Checked]) -> Checked:
    for outcome in _WORST_FIRST:
        for one in results:
            if one.outcome is outcome:
                return one
    return results[0]


def _message(worst: Checked, results: Sequence[Checked]) -> str:
    if worst.reason is not None:
        more = sum(len(one.errors) for one in results) - 1
        return f"{worst.message} (and {more} more)" if more > 0 else worst.message
    return f"no error in {count(sum(one.files or 0 for one in results))}"


def _finding(one: Checked) -> Finding:
    outcome = FindingOutcome.PASS if one.reason is None else FindingOutcome.UNAVAILABLE
    wrong = one.outcome is Outcome.FAILED
    spots = (f"{each.path}:{each.line}" for each in one.errors[:50] if each.path and each.line)
    text = _ADVICE.get(one.reason or "", "Make the type checker end within its limits.")
    return Finding(
        probe=f"typecheck.{one.step.tool.value.replace('-', '_')}",
        outcome=FindingOutcome.FAIL if wrong else outcome,
        tier="dynamic",
        message=f"{one.step.name}: {one.message}"[:500],
        locations=tuple(dict.fromkeys(spots)),
        evidence={
            "command": " ".join(one.step.argv),
            "source": one.step.source,
            "reason": one.reason,
            "files": one.files,
            "errors": [str(each) for each in one.errors[:20]],
            "errors_total": len(one.errors),
            "errors_in_dependencies": one.elsewhere,
        },
        remediation=Remediation(effort="medium", text=text) if one.reason else None,
    )

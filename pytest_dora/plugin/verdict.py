"""How an answer of a check looks to pytest: passed, skipped, failed, or counted by the gate."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from _pytest._code.code import (
    ReprEntryNative,
    ReprExceptionInfo,
    ReprFileLocation,
    ReprTraceback,
)

from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.model.settings import Settings
from pytest_dora.plugin.text import one_line, quoted

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr

    from pytest_dora.plugin.nodes import CheckItem

_FINDINGS = 6


class Verdict(Enum):
    PASS = "pass"
    SKIP = "skip"
    FAIL = "fail"
    COUNTED = "counted by the gate"


class CheckFailed(Exception):
    """A check answered, and the answer is no pass."""

    def __init__(self, result: CheckResult) -> None:
        super().__init__(headline(result))
        self.result = result


def verdict(result: CheckResult, settings: Settings, *, owner_failed: bool) -> Verdict:
    """What pytest is told. ``owner_failed``: the item that owns the failed stage has failed here,
    so that a blocked check need not tell of the same failure again.
    """
    match result.outcome:
        case Outcome.PASSED:
            return Verdict.PASS
        case Outcome.NOT_APPLICABLE:
            return Verdict.SKIP
        case Outcome.INCONCLUSIVE:
            return Verdict.FAIL if settings.strict else Verdict.SKIP
        case Outcome.BLOCKED if owner_failed:
            return Verdict.SKIP
        case Outcome.FAILED | Outcome.BLOCKED:
            return Verdict.FAIL if settings.fail_under is None else Verdict.COUNTED
        case _:
            return Verdict.FAIL


def headline(result: CheckResult) -> str:
    """One line: the outcome, its reason, and the first error."""
    word = result.outcome.value.replace("_", " ")
    # the message of a blocked check says by what, and a missing tool's what is missing
    reason = f" ({result.reason})" if result.reason else ""
    message = one_line(result.message)
    return f"{word}{reason}: {message}" if message else f"{word}{reason}"


def failure_text(failed: CheckFailed, item: CheckItem) -> TerminalRepr:
    """A failure as pytest shows it: no traceback, for the code at fault is the app's."""
    result = failed.result
    lines = [one_line(f"{result.app_id}: {result.check_id} ") + " " + headline(result)]
    for finding in result.failing[:_FINDINGS]:
        where = f" [{', '.join(finding.locations[:3])}]" if finding.locations else ""
        lines.append(quoted(f"{finding.probe}: {finding.message}{where}", 4))
        if finding.remediation is not None:
            lines.append(quoted(f"  to mend it: {finding.remediation.text}", 2))
    if len(result.failing) > _FINDINGS:
        lines.append(f"  | … {len(result.failing) - _FINDINGS} more findings in the report")
    if result.log:
        from pytest_dora.plugin.state import STATE

        lines.append(f"  log: {item.config.stash[STATE].run_dir / result.log}")
    path, _, _ = item.reportinfo()
    # what xdist and reports rebuild on the other side: a native entry and a place with a message
    return ReprExceptionInfo(
        reprtraceback=ReprTraceback([ReprEntryNative(["\n".join(lines) + "\n"])], None, "native"),
        reprcrash=ReprFileLocation(str(path), 1, headline(result)),
    )

"""A report as lines for a terminal, in which nothing an app wrote can pass for more than text."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pytest_dora.model.report import AppReport, Gate, GateStatus, Report
from pytest_dora.model.result import CheckResult, Finding, FindingOutcome
from pytest_dora.report.inputs import RunError
from pytest_dora.report.text import counted, percent_with_interval, seconds_text
from pytest_dora.report.writers.markdown import worst_first

_VALUE = 300


def summary_lines(report: Report) -> list[str]:
    """One line per app, the worst first, and the gate."""
    checks = list(report.checks)
    table = [["app", "level", *checks]]
    for app in worst_first(report.apps):
        cells = [
            _cell(app, check) if check in app.checks else "-" if app.folder else "no folder"
            for check in checks
        ]
        table.append([plain(app.app_id), app.level.value if app.level else "none", *cells])
    lines = [f"run {report.run.id}, {report.status.value}", "", *_aligned(table), ""]
    return [*lines, *gate_lines(report.gate), *(f"note: {plain(note)}" for note in report.notes)]


def gate_lines(gate: Gate) -> list[str]:
    """The gate's verdict, and why."""
    level = gate.level.value if gate.level else "no level"
    if gate.status is GateStatus.NOT_REQUESTED:
        return [f"no gate; {counted(gate.apps_total, 'app')}"]
    if gate.status is GateStatus.NOT_EVALUATED:
        head = f"gate {level}: not evaluated"
    else:
        word = {True: "met", False: "not met", None: "no share required"}[gate.met]
        share = percent_with_interval(gate.percent, gate.ci95)
        head = f"gate {level}: {word}; {gate.apps_reaching} of {counted(gate.apps_total, 'app')}, {share}"
    return [head, *(f"  {plain(reason)}" for reason in gate.reasons)]


def app_lines(report: Report, output: Path, wanted: str) -> list[str]:
    """The findings of one app, or of one check of it (``APP::CHECK``), and where its logs are.

    Raises RunError when the report has no such app or check.
    """
    app, check = _find(report, wanted)
    lines = [f"{plain(app.app_id)}: level {app.level.value if app.level else 'none'}"]
    lines += [f"  needs {plain(line)}" for line in app.next_level_needs]
    for result in _results(report, app, output):
        if check is None or result.check_id == check:
            lines += ["", *_result_lines(result, output / "runs" / report.run.id)]
    if not app.checks:
        error = app.generation.error if app.generation else None
        lines.append(f"  nothing was evaluated{f': {plain(error)}' if error else ''}")
    return lines


def plain(text: str) -> str:
    """Text of an app on one line: no control characters, nothing that a CI runner obeys."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    shown = shown.replace("##[", "# #[").replace("##vso", "# #vso")
    # A runner takes a line that begins with two colons for a command.
    return f"\u200b{shown}" if shown.startswith("::") else shown


def _find(report: Report, wanted: str) -> tuple[AppReport, str | None]:
    apps = {app.app_id: app for app in report.apps}
    if wanted in apps:
        return apps[wanted], None
    app_id, separator, check = wanted.rpartition("::")
    if not separator or app_id not in apps:
        close = difflib.get_close_matches(app_id or wanted, apps, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else f"it has {len(apps)} apps"
        raise RunError(f"no app {wanted!r} in the report of run {report.run.id}; {hint}")
    app = apps[app_id]
    if check not in app.checks:
        raise RunError(
            f"{app_id}: check {check!r} was not asked; asked were {', '.join(app.checks) or 'none'}"
        )
    return app, check


def _results(report: Report, app: AppReport, output: Path) -> list[CheckResult]:
    """The app's results with their evidence; the summaries alone where the file is gone."""
    if app.details is not None:
        try:
            content = json.loads((output / app.details).read_bytes())
            return [CheckResult.model_validate(one) for one in content["results"]]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{output / app.details}: cannot be read as an app's file of run "
                f"{report.run.id}; `pytest-dora merge` writes it again"
            ) from error
    return [
        CheckResult(
            app_id=app.app_id,
            check_id=check,
            outcome=one.outcome,
            reason=one.reason,
            message=one.message,
            verified_score=one.verified_score,
            score=one.score,
        )
        for check, one in app.checks.items()
    ]


def _result_lines(result: CheckResult, run_folder: Path) -> Iterable[str]:
    reason = f" ({result.reason})" if result.reason else ""
    score = ""
    if result.verified_score is not None:
        score = f", verified {result.verified_score} of 5 (declared {result.score})"
    yield f"{result.check_id}: {result.outcome.value}{reason}{score}, {seconds_text(result.seconds)}"
    if result.message:
        yield f"  | {plain(result.message)}"
    for finding in result.findings:
        yield from _finding_lines(finding)
    if result.log:
        yield f"  log: {run_folder / result.log}"


def _finding_lines(finding: Finding) -> Iterable[str]:
    yield f"  {finding.outcome.value:<5} {plain(finding.probe)}: {plain(finding.message)}"
    for location in finding.locations:
        yield f"        at {plain(location)}"
    if finding.outcome is FindingOutcome.PASS:
        return
    for name, value in finding.evidence.items():
        yield f"        {plain(name)}: {_value(value)}"
    if finding.remediation is not None:
        yield f"        to do ({finding.remediation.effort}): {plain(finding.remediation.text)}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = plain(text)
    return shown if len(shown) <= _VALUE else f"{shown[: _VALUE - 1]}…"


def _cell(app: AppReport, check: str) -> str:
    one = app.checks[check]
    score = "" if one.verified_score is None else f" {one.verified_score}/5"
    return f"{one.outcome.value}{score}{' (waived)' if one.waived else ''}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]

"""The files of a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pytest_dora.model.fleet import AppFacts, Fleet
from pytest_dora.model.report import Report, RunInfo, RunStatus
from pytest_dora.model.result import CheckResult
from pytest_dora.model.settings import Settings
from pytest_dora.report.assemble import Pair, assemble
from pytest_dora.report.files import write_atomically
from pytest_dora.report.inputs import Inputs, write_inputs
from pytest_dora.report.writers import json as json_writer
from pytest_dora.report.writers import markdown

__all__ = ["write_report", "write_started"]


def write_started(
    run: RunInfo,
    output: Path,
    *,
    fleet: Fleet | None = None,
    expected: Sequence[Pair] = (),
    settings: Settings | None = None,
) -> Report:
    """Write the first report of a run, in which nothing has run yet.

    With fleet, expected checks and settings the run can be merged or rebuilt from its spools
    later, whatever happens to this process. Raises OSError when ``output`` cannot be written.
    """
    fleet, settings = fleet or Fleet(), settings or Settings()
    write_inputs(Inputs(run, fleet, tuple(expected), settings), output)
    report = assemble(fleet, expected, (), (), run, settings, status=RunStatus.STARTED)
    json_writer.write_summary(report, output)
    return report


def write_report(
    report: Report,
    results: Sequence[CheckResult],
    facts: Sequence[AppFacts],
    output: Path,
) -> tuple[str, ...]:
    """Write ``report.json``, the apps' own files and ``report.md``, each in one step.

    The summary of a GitHub job is appended to where its variable names a file. Raises OSError
    when ``output`` cannot be written; a step summary that cannot be written is only told of in
    the lines returned.
    """
    json_writer.write_apps(report, results, facts, output)
    write_atomically(output / "report.md", markdown.render(report).encode())
    json_writer.write_summary(report, output)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return ()
    try:
        markdown.append_summary(report, Path(summary))
    except OSError as error:
        return (f"the step summary {summary} was not written: {error.strerror}",)
    return ()

"""JSON files that are whole or absent: a summary, and one file of evidence per app."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pytest_dora.model.fleet import AppFacts
from pytest_dora.model.report import SCHEMA_VERSION, Report
from pytest_dora.model.result import CheckResult
from pytest_dora.report.files import to_json, write_atomically
from pytest_dora.report.names import file_name


def write_summary(report: Report, output: Path) -> Path:
    """Write ``report.json``."""
    path = output / "report.json"
    write_atomically(path, to_json(report))
    return path


def write_apps(
    report: Report, results: Sequence[CheckResult], facts: Sequence[AppFacts], output: Path
) -> None:
    """Write the findings, evidence and plan of each app to its own file."""
    told = {one.app_id: one for one in facts}
    found: dict[str, dict[str, CheckResult]] = defaultdict(dict)
    for result in results:
        found[result.app_id][result.check_id] = result
    folder = output / "runs" / report.run.id / "apps"
    for app in report.apps:
        content = {
            "schema_version": SCHEMA_VERSION,
            "run_id": report.run.id,
            "app_id": app.app_id,
            "summary": app,
            "facts": told.get(app.app_id),
            "results": list(found[app.app_id].values()),
        }
        write_atomically(folder / f"{file_name(app.app_id)}.json", to_json(content))

"""Rules for the whole suite: a clean environment, and no silent skip where tests must run."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest

EXPECTED_SKIPS: dict[str, str] = {
    "PYTEST_DORA_VECTORS names no folder": "other tools' vectors are not part of the project",
}
"""Pattern of a skip's reason -> why the machine that runs with CI=true cannot help it."""

_HERE = Path(__file__).parent
_OURS_OR_XDIST = re.compile(
    r"PYTEST_(ADDOPTS|PLUGINS|DISABLE_PLUGIN_AUTOLOAD|XDIST_\w+|DORA_(?!VECTORS$)\w+)$"
)


@pytest.fixture(autouse=True)
def _outer_run_stays_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pytest started by a test must not inherit options or a worker's identity from ours."""
    for name in os.environ:
        if _OURS_OR_XDIST.match(name):
            monkeypatch.delenv(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A time limit for tests only: the project's configuration also serves `pytest --dora`."""
    for item in items:
        if item.path.is_relative_to(_HERE) and item.get_closest_marker("timeout") is None:
            # the thread method also ends what hangs in native code or waits for a child
            item.add_marker(pytest.mark.timeout(300, method="thread"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse_silent_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_silent_skip(report)
    return report


def _refuse_silent_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") != "true" or not report.skipped:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if any(re.search(pattern, reason) for pattern in EXPECTED_SKIPS):
        return
    report.outcome = "failed"
    report.longrepr = f"skipped where every test must run: {reason}"

"""One line that says what runs now, on a terminal that can rewrite it; elsewhere pytest's dots."""

from __future__ import annotations

import time

import pytest

from pytest_dora.plugin.state import RunState
from pytest_dora.plugin.text import one_line


def make_live(config: pytest.Config, state: RunState) -> Live | None:
    """The live line, where output goes to a terminal and no other verbosity was asked for."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty or config.option.collectonly:
        return None
    return Live(reporter, state) if config.option.verbose == 0 else None


class Live:
    """Written from hooks only, in the main thread: nothing of pytest's is ever written over."""

    def __init__(self, reporter: pytest.TerminalReporter, state: RunState) -> None:
        self._reporter = reporter
        self._total = len(state.expected)
        self._running: dict[str, str] = {}
        self._done = 0
        self._ended = False
        reporter.showfspath = False  # as xdist does: a file's name would break the line

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        if " :: " in location[2]:
            self._running[nodeid] = f"{location[2]} since {time.strftime('%H:%M:%S')}"
            self._draw()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if self._running.pop(nodeid, None) is not None:
            self._done += 1
            self._draw()

    # behind every plugin that has a word of its own for a report, and before pytest's letters
    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report: pytest.TestReport):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Count the report as it would be, and leave out its letter: the line stands for it."""
        category, letter, word = yield
        if hasattr(report, "dora") and letter and not self._ended:
            return category, "", ""
        return category, letter, word

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and hasattr(report, "dora"):
            crash = getattr(report.longrepr, "reprcrash", None)
            said = one_line(crash.message if crash is not None else report.longreprtext)
            self._clear()
            self._reporter.write_line(f"{report.location[2]}: {said}", red=True)
            self._draw()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        try:
            return (yield)
        finally:
            self._clear()
            self._ended = True  # the summary asks for the same words once more

    def _draw(self) -> None:
        names = ", ".join(self._running.values()) or "-"
        line = one_line(f"{self._done} of {self._total} done, running: {names}", self._width)
        self._reporter.rewrite(line, erase=True)
        self._reporter.flush()

    def _clear(self) -> None:
        self._reporter.rewrite("", erase=True)
        self._reporter.rewrite("")

    @property
    def _width(self) -> int:
        width: int = self._reporter._tw.fullwidth  # noqa: SLF001 - its only way to be known
        return max(20, width - 2)

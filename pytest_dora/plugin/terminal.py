"""What a person sees: what can be judged here, what each app came to, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_dora.model.report import Gate, GateStatus, Report
from pytest_dora.model.result import Outcome
from pytest_dora.plugin.state import RunState
from pytest_dora.plugin.text import node_name, one_line

if TYPE_CHECKING:
    from pytest_dora.plugin.controller import Controller

_WORDS = {
    Outcome.PASSED: ("passed", "green"),
    Outcome.FAILED: ("FAILED", "red"),
    Outcome.BLOCKED: ("blocked", "yellow"),
    Outcome.NOT_APPLICABLE: ("n/a", "light"),
    Outcome.INCONCLUSIVE: ("unclear", "yellow"),
    Outcome.ERROR: ("ERROR", "red"),
    Outcome.CRASHED: ("CRASHED", "red"),
    Outcome.NOT_RUN: ("not run", "yellow"),
}
_NAME_WIDTH = 40
_ROWS = 60


class Terminal:
    """Header and summary of a run; on the controller only."""

    def __init__(self, config: pytest.Config, state: RunState, controller: Controller) -> None:
        self._config = config
        self._state = state
        self._controller = controller

    def pytest_report_header(self) -> list[str]:
        state = self._state
        checks = [spec.id for spec in state.specs if spec.id in state.selected_checks]
        lines = [f"dora: {self._apps()}, checks: {', '.join(checks)}"]
        if self._config.option.collectonly or self._config.option.verbose < 0:
            return lines
        lines += [f"dora: {line}" for line in self._abilities()]
        lines += [f"dora: {one_line(note)}" for note in state.fleet.notes[:10]]
        return lines

    def _apps(self) -> str:
        all_apps, selected = len(self._state.apps), len(self._state.selected_apps)
        lost = len(self._state.fleet.apps) - all_apps
        text = f"{selected} of " if selected != all_apps else ""
        text += f"{all_apps} app{'' if all_apps == 1 else 's'}"
        if lost:
            text += f" (and {lost} failed generation{'' if lost == 1 else 's'})"
        return text

    def _abilities(self) -> Sequence[str]:
        try:
            from pytest_dora.runtime.doctor import header_lines
        except ImportError:
            return ()
        return [one_line(line, 500) for line in header_lines(self._state.settings.sandbox)]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        controller = self._controller
        if controller.report is not None and controller.results:
            terminalreporter.section("dora")
            self._table(terminalreporter, controller.report)
            self._production(terminalreporter, controller.report)
            terminalreporter.write_line(f"report: {self._shown('report.md')}, report.json")
            verdict = gate_sentence(controller.report.gate)
            if verdict:
                good = controller.report.gate.met is True
                terminalreporter.write_line(verdict, bold=True, green=good, red=not good)
        for note in controller.notes:
            terminalreporter.write_line(f"dora: {one_line(note)}")
        for problem in controller.problems:
            terminalreporter.write_line(f"dora: {problem}", red=True)

    @staticmethod
    def _production(reporter: pytest.TerminalReporter, report: Report) -> None:
        """What the store says, the numbers that there are."""
        if report.production is None:
            return
        from pytest_dora.delivery.telling import heading, rows

        reporter.write_line(heading(report.production, len(report.apps)))
        for name, text in rows(report.dora_metrics, report.production):
            if not text.startswith("- ("):
                reporter.write_line(f"  {name}: {text}")

    def _shown(self, name: str) -> str:
        path = self._state.output / name
        try:
            return str(path.relative_to(self._config.invocation_params.dir))
        except ValueError:
            return str(path)

    def _table(self, reporter: pytest.TerminalReporter, report: Report) -> None:
        checks = [spec.id for spec in self._state.specs if spec.id in report.checks]
        apps = [app for app in report.apps if app.checks]
        width = max([3, *(min(_NAME_WIDTH, len(node_name(app.app_id))) for app in apps)])
        columns = [max(len(check), 7) for check in checks]
        head = "  ".join(check.ljust(size) for check, size in zip(checks, columns, strict=True))
        reporter.write_line(f"{'app'.ljust(width)}  {head}  level")
        # the apps with most to mend come last, where a terminal ends
        rows = sorted(apps, key=lambda app: sum(_bad(one.outcome) for one in app.checks.values()))
        for app in rows[-_ROWS:]:
            name = node_name(app.app_id)
            name = name if len(name) <= width else name[: width - 1] + "…"
            reporter.write(name.ljust(width))
            for check, size in zip(checks, columns, strict=True):
                summary = app.checks.get(check)
                word, colour = _WORDS[summary.outcome] if summary else ("", "light")
                reporter.write("  ")
                reporter.write(word.ljust(size), **{colour: True})
            reporter.write_line(f"  {app.level.value if app.level else '-'}")
        if len(rows) > _ROWS:
            reporter.write_line(f"… {len(rows) - _ROWS} more apps stand in the report")


def _bad(outcome: Outcome) -> bool:
    return outcome not in (Outcome.PASSED, Outcome.NOT_APPLICABLE)


def gate_sentence(gate: Gate) -> str:
    """The gate's verdict in one sentence; empty when none was asked for."""
    if gate.status is GateStatus.NOT_REQUESTED or gate.level is None:
        return ""
    level = gate.level.value
    if gate.status is GateStatus.NOT_EVALUATED:
        why = f": {one_line('; '.join(gate.reasons), 500)}" if gate.reasons else ""
        return f"The gate {level} was not evaluated{why}."
    share = f"{gate.apps_reaching} of {gate.apps_total} apps reach {level}"
    percent = f" ({gate.percent:.1f} %)" if gate.percent is not None else ""
    if gate.fail_under is None:
        return f"{share}{percent}; no share was required."
    state = "met" if gate.met else "NOT met"
    # the share itself is said here already
    more = [reason for reason in gate.reasons if not reason.startswith(share)]
    broken = f" ({one_line('; '.join(more), 500)})" if more else ""
    return f"The gate is {state}: {share}{percent}, {gate.fail_under:g} % required{broken}."

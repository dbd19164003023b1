"""Hooks for third parties: more checks, more stacks, more reports.

A hook may stand in a ``conftest.py`` beside the evaluator's project or in an installed plugin,
never in an app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_dora.checks.registry import CheckSpec
    from pytest_dora.model.plan import Plan
    from pytest_dora.model.report import Report
    from pytest_dora.model.result import CheckResult


@pytest.hookspec
def pytest_dora_checks(config: pytest.Config) -> Sequence[CheckSpec]:  # type: ignore[empty-body]
    """Give checks of your own; each becomes one item per app, after the built-in ones.

    ::

        from pytest_dora.checks.registry import CheckSpec
        from pytest_dora.model.result import CheckResult, Outcome

        def check_licence(session):
            found = (session.path / "LICENSE").is_file()
            return CheckResult(
                app_id=session.app.app_id,
                check_id="licence",
                outcome=Outcome.PASSED if found else Outcome.FAILED,
                message="has a licence" if found else "no LICENSE file",
            )

        def pytest_dora_checks(config):
            return [CheckSpec("licence", check_licence, "the app says how it may be used")]
    """


@pytest.hookspec(firstresult=True)
def pytest_dora_discover(root: Path, plan: Plan) -> Plan | None:
    """Replace the plan that was read from an app's folder; None keeps it.

    Called on the process that evaluates the app. ``root`` is hostile: read regular files only.

    ::

        from pytest_dora.model.plan import Process, StartPlan

        def pytest_dora_discover(root, plan):
            if not (root / "Makefile").is_file() or plan.starts:
                return None
            serve = Process(name="web", argv=("make", "serve"), source="Makefile")
            start = StartPlan(processes=(serve,), source="Makefile")
            return plan.model_copy(update={"stack": ("make",), "starts": (start,)})
    """


@pytest.hookspec
def pytest_dora_check_finished(result: CheckResult) -> None:
    """Told of every answer as it arrives, always in the process that the user started.

    ::

        def pytest_dora_check_finished(result):
            print(f"{result.app_id} {result.check_id}: {result.outcome.value}")
    """


@pytest.hookspec
def pytest_dora_write(report: Report, run_dir: Path) -> None:
    r"""Write the finished report in a form of your own, once per run.

    An exception here is told in one line and ends the run with exit status 3.

    ::

        def pytest_dora_write(report, run_dir):
            lines = [f"{app.app_id},{app.level or 'none'}" for app in report.apps]
            (run_dir / "levels.csv").write_text("\n".join(["app,level", *lines]) + "\n")
    """

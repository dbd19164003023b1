"""What a check costs beside the commands of the app: ours that answers at once, by the hook."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.harness import (
    Claim,
    Options,
    ProgramFailed,
    Ran,
    Result,
    in_turns,
    new_project,
    outcomes,
    run_pytest,
    tiny_apps,
)

NAME = "overhead_per_check"
_RUNS = 3
_ITEMS = 200
_NAMES = ("alpha", "beta", "gamma", "delta")
_CONFTEST = """
from pytest_dora.checks.registry import CheckSpec
from pytest_dora.model.result import CheckResult, Finding

def answer(session, check, outcome):
    findings = [
        Finding(probe=f"{{check}}.probe", outcome=kind, tier="static", message="seen at once")
        for kind in (("pass",) * 4 if outcome == "passed" else ("pass",) * 3 + ("fail",))
    ]
    return CheckResult(
        app_id=session.app.app_id, check_id=check, outcome=outcome, findings=findings,
        message="answered at once",
    )

def pytest_dora_checks(config):
    return [
        CheckSpec(name, lambda session, name=name: answer(session, name, "{outcome}"), name)
        for name in {names!r}
    ]
"""


def measure(options: Options) -> Result:
    runs = options.runs or _RUNS
    result = Result(NAME)
    with tempfile.TemporaryDirectory() as folder:
        # apps with several checks, as they are; and the dearest case, in which every item also
        # opens and closes a session and measures its app
        shapes = {
            f"{_ITEMS // len(_NAMES)} apps × {len(_NAMES)} checks": _NAMES,
            f"{_ITEMS} apps × 1 check": _NAMES[:1],
        }
        for number, (shape, names) in enumerate(shapes.items()):
            place = Path(folder, str(number))
            for outcome in ("passed", "failed"):
                ours, plain = _per_item(place / outcome, names, outcome, runs)
                which = f"{shape}, {outcome}"
                for what, ran in (("each of ours", ours), ("each ordinary test", plain)):
                    result.row(f"{which}: {what}", ran.wall * 1000, "ms")
                    result.row(f"{which}: {what} (CPU)", ran.cpu * 1000, "ms")
                text = f"own cost per check ({which})"
                result.claims.append(Claim(text, ours.wall * 1000, 20, "ms"))
    return result


def _per_item(place: Path, names: tuple[str, ...], outcome: str, runs: int) -> tuple[Ran, Ran]:
    """What one item more costs, ours and an ordinary one; the report included."""
    project = new_project(place / "project", _CONFTEST.format(outcome=outcome, names=names))
    bare = new_project(place / "bare")
    (bare / "test_bare.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('n', range({_ITEMS}))\n"
        f"def test(n):\n    assert {outcome == 'passed'}\n"
    )
    many = tiny_apps(place / "many", _ITEMS // len(names))
    one = tiny_apps(place / "one", 1)
    whole, least, plain, plain_least = in_turns(
        runs,
        lambda: _evaluate(project, many, names, outcome),
        lambda: _evaluate(project, one, names, outcome),
        lambda: run_pytest(bare),
        lambda: run_pytest(bare, "test_bare.py::test[0]"),
    )
    return _each(whole, least, _ITEMS - len(names)), _each(plain, plain_least, _ITEMS - 1)


def _each(whole: Ran, least: Ran, items: int) -> Ran:
    return replace(
        whole, wall=(whole.wall - least.wall) / items, cpu=(whole.cpu - least.cpu) / items
    )


def _evaluate(project: Path, apps: Path, names: tuple[str, ...], outcome: str) -> Ran:
    only = ("--dora-check", ",".join(names))
    ran = run_pytest(project, "--dora", *only, apps, plugins=("pytest_dora.plugin",))
    answers = {one for checks in outcomes(project).values() for one in checks.values()}
    if answers != {outcome}:
        raise ProgramFailed(f"the checks answered {sorted(answers)} instead of {outcome}")
    return ran

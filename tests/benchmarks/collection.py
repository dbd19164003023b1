"""How long a large fleet takes until the first check can begin."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmarks.harness import (
    Claim,
    Options,
    ProgramFailed,
    Ran,
    Result,
    in_turns,
    new_project,
    run_pytest,
    tiny_apps,
)

NAME = "collection"
_RUNS = 3
_APPS = 1000


def measure(options: Options) -> Result:
    from pytest_dora.checks.builtin import BUILTIN

    result = Result(NAME)
    items = _APPS * len(BUILTIN)
    with tempfile.TemporaryDirectory() as folder:
        project = new_project(Path(folder, "project"))
        many = tiny_apps(Path(folder, "many"), _APPS)
        one = tiny_apps(Path(folder, "one"), 1)
        bare = new_project(Path(folder, "bare"))
        (bare / "test_many.py").write_text(
            f"import pytest\n@pytest.mark.parametrize('n', range({items}))\ndef test(n): pass\n"
        )
        whole, least, plain = in_turns(
            options.runs or _RUNS,
            lambda: _collect(project, many, items),
            lambda: _collect(project, one, len(BUILTIN)),
            lambda: run_pytest(bare, "--collect-only"),
        )
    for what, ran in (
        (f"{_APPS} apps × {len(BUILTIN)} checks", whole),
        ("one app", least),
        (f"{items} parameters of an ordinary test", plain),
    ):
        result.row(what, ran.wall)
        result.row(f"{what} (CPU)", ran.cpu)
    more = items - len(BUILTIN)
    result.row("each item more", (whole.wall - least.wall) * 1000 / more, "ms")
    result.row("each item more (CPU)", (whole.cpu - least.cpu) * 1000 / more, "ms")
    result.row("ours ÷ ordinary", whole.wall / plain.wall, "×")
    result.claims.append(Claim(f"collecting {_APPS} apps with every check", whole.wall, 2, "s"))
    return result


def _collect(project: Path, apps: Path, items: int) -> Ran:
    full = ("--dora-profile", "full")
    ran = run_pytest(
        project, "--dora", "--collect-only", *full, apps, plugins=("pytest_dora.plugin",)
    )
    found = sum("::" in line for line in ran.output.splitlines())
    if found != items:
        raise ProgramFailed(f"{found} items were collected instead of {items}")
    return ran

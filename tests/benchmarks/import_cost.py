"""What a pytest run that does not evaluate anything pays for having us installed."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.harness import (
    Claim,
    Options,
    Ran,
    Result,
    environment,
    in_turns,
    new_project,
    pytest_argv,
    run,
    run_pytest,
)

NAME = "import_cost"
_RUNS = 15
_TELL = """
import json, sys
def pytest_unconfigure(config):
    with open("modules.json", "w") as file:
        json.dump(sorted(sys.modules), file)
"""
_CLOCK = """
import json, time
def pytest_addoption(parser, pluginmanager):
    # as pytest does before it imports an installed plugin
    pluginmanager.rewrite_hook.mark_rewrite("pytest_dora")
    begin = time.process_time()
    import pytest_dora.plugin, pytest_dora.plugin.hookspecs, pytest_dora.plugin.fixtures
    took = time.process_time() - begin
    with open("import.json", "w") as file:
        json.dump(took, file)
"""
"""Imports what a run without ``--dora`` imports of us, where pytest would, and by its loader."""


def measure(options: Options) -> Result:
    runs = options.runs or _RUNS
    result = Result(NAME)
    with tempfile.TemporaryDirectory() as folder:
        project = new_project(Path(folder, "project"), _TELL)
        (project / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        foreign = _modules(project, ours=True) - _modules(project, ours=False)
        third_party = sorted(
            {name.partition(".")[0] for name in foreign}
            - sys.stdlib_module_names
            - {"_pytest", "pytest_dora"}
        )
        _import_milliseconds(project)  # writes the bytecode, as the first run ever does
        imported = statistics.median(_import_milliseconds(project) for _ in range(runs))
        with_us, without = in_turns(
            runs, lambda: _whole_run(project, ours=True), lambda: _whole_run(project, ours=False)
        )
    result.row("our import (CPU)", imported, "ms")
    for what, ran in (("without us", without), ("with us, without --dora", with_us)):
        result.row(f"a run of one empty test, {what}", ran.wall * 1000, "ms")
        result.row(f"a run of one empty test, {what} (CPU)", ran.cpu * 1000, "ms")
    result.row("with us ÷ without us", with_us.wall / without.wall, "×")
    result.row("with us ÷ without us (CPU)", with_us.cpu / without.cpu, "×")
    if third_party:
        result.notes.append(f"third-party modules that we import: {', '.join(third_party)}")
    result.claims += [
        Claim("our import without --dora", imported, 5, "ms"),
        Claim("third-party modules imported without --dora", len(third_party), 0),
    ]
    return result


def _whole_run(project: Path, *, ours: bool) -> Ran:
    # both load one plugin, for pytest looks through all installed packages for each -p
    (project / "nothing.py").touch()
    argv = pytest_argv(project, plugins=("pytest_dora.plugin" if ours else "nothing",))
    return run(argv, cwd=project, env=environment(PYTHONPATH=str(project)))


def _modules(project: Path, *, ours: bool) -> set[str]:
    run_pytest(project, plugins=("pytest_dora.plugin",) if ours else ())
    return set(json.loads((project / "modules.json").read_text()))


def _import_milliseconds(project: Path) -> float:
    (project / "clock.py").write_text(_CLOCK)
    argv = pytest_argv(project, plugins=("clock",))
    run(argv, cwd=project, env=environment(PYTHONPATH=str(project)))
    return float(json.loads((project / "import.json").read_text())) * 1000

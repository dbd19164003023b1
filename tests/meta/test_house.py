"""The house keeps its own rules: layers, types, style, size of modules, weight of the import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.project import PACKAGE, ROOT, modules

_BIN = Path(sys.executable).parent
_SCRIPTS = {"pytest_dora.runtime.sandbox.supervisor", "pytest_dora.runtime.standin"}
"""Programs that are started inside a sandbox; they must import as well, but never on their own."""


def _run(*argv: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize(
    "command",
    [
        pytest.param((str(_BIN / "lint-imports"), "--no-cache"), id="layers"),
        pytest.param((str(_BIN / "mypy"), "--no-incremental"), id="types"),
        pytest.param((str(_BIN / "ruff"), "check", "--no-cache", "."), id="style"),
        pytest.param((str(_BIN / "ruff"), "format", "--no-cache", "--check", "."), id="format"),
    ],
)
def test_the_tool_has_nothing_to_say(command: tuple[str, ...]) -> None:
    done = _run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_imports_without_a_warning() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in modules()
        if path.name != "__main__.py"
    ]
    assert _SCRIPTS & set(names), "the names of the sandbox's programs have changed"
    program = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    done = _run(sys.executable, "-W", "error", "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_short_enough_to_be_read(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= 400, f"{lines} lines; split it where it has two subjects"


def test_the_plugin_module_imports_nothing_heavier_than_pytest() -> None:
    program = (
        "import json, sys, pytest; before = set(sys.modules); import pytest_dora.plugin;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "ours = [name for name in sys.modules if name.startswith('pytest_dora.')];"
        "print(json.dumps([sorted(new - sys.stdlib_module_names - {'pytest_dora', '_pytest'}),"
        "                  sorted(ours)]))"
    )
    done = _run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    foreign, ours = json.loads(done.stdout)
    assert foreign == []
    assert [name for name in ours if not name.startswith("pytest_dora.plugin")] == []


def test_a_run_without_the_switch_loads_nothing_of_ours_but_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(
        "import sys\n"
        "def test_plain():\n"
        "    ours = [name for name in sys.modules if name.startswith('pytest_dora.')]\n"
        "    assert [name for name in ours if not name.startswith('pytest_dora.plugin')] == []\n"
        "    assert 'pydantic' not in sys.modules\n"
    )
    done = _run(sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={tmp_path}",
                "-p", "no:cacheprovider", str(tmp_path / "test_plain.py"))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

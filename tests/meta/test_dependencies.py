"""What is imported is declared, and what is declared is needed."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import tomli

from tests.meta.project import PACKAGE, ROOT, modules

_PROVIDES = {
    "_pytest": "pytest",
    "databricks": "databricks-sdk",
    "markdown_it": "markdown-it-py",
    "pydantic_core": "pydantic",
    "xdist": "pytest-xdist",
    "yaml": "pyyaml",
}
"""Modules whose distribution has another name."""
_INSIDE_A_SANDBOX = {path.stem for path in (PACKAGE / "runtime" / "sandbox").glob("*.py")}
"""Our own modules lie side by side there, and import one another by their bare names."""
_OPTIONAL = ("databricks", "postgres", "stats", "toolchains")
_TOOLS = {
    "build", "import-linter", "mypy", "pytest-dora", "pytest-randomly",
    "pytest-rerunfailures", "pytest-timeout", "ruff", "types-psutil", "types-pyyaml", "uv",
}  # fmt: skip
"""Started, loaded by pytest, or read by mypy, but imported by no test."""


def _imported(paths: Iterable[Path]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    foreign = found - sys.stdlib_module_names - {"pytest_dora", "tests"} - _INSIDE_A_SANDBOX
    return {_PROVIDES.get(name, name.replace("_", "-")).lower() for name in foreign}


def _declared() -> dict[str, set[str]]:
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        group: {re.split(r"[\[<>=~; ]", requirement)[0].lower() for requirement in requirements}
        for group, requirements in groups.items()
    }


def test_the_package_imports_what_it_declares_and_declares_what_it_imports() -> None:
    declared = _declared()
    optional = set().union(*(declared[extra] for extra in _OPTIONAL))
    imported = _imported(modules())
    assert imported - optional == declared[""]


def test_the_tests_import_what_is_declared_for_them() -> None:
    declared = _declared()
    imported = _imported((ROOT / "tests").rglob("*.py"))
    extras = ("databricks", "postgres", "stats", "test")
    available = declared[""].union(*(declared[extra] for extra in extras))
    assert imported <= available
    assert declared["test"] - imported == _TOOLS

"""Type checks and tests of Python projects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from posixpath import basename, dirname

from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.node import at
from pytest_dora.discovery.parse import table
from pytest_dora.discovery.python import PythonProject
from pytest_dora.model.plan import TestRunner, TestSuite, TypecheckStep, TypecheckTool

MAX_FILES = 200
_TEST_FILE = re.compile(r"(?:test_[^/]*|[^/]*_test|tests)\.py")
_PYTEST_STYLE = re.compile(
    r"(?m)^(?:async )?def test_|^import pytest\b|^from pytest\b|^class Test\w*\s*(?:\(\s*\))?:"
)
_UNITTEST_STYLE = re.compile(r"(?m)^class \w+\([\w., ]*TestCase[\w., ]*\)\s*:|^import unittest\b")
_DJANGO_TEST = re.compile(r"(?m)^from (?:django\.test|rest_framework\.test) import")
_BROWSER = re.compile(r"(?m)^(?:from|import) (?:playwright|selenium)\b")
_ANY_TEST = re.compile(r"(?m)^\s*(?:async )?def test")
_MYPY_CALL = re.compile(
    r"(?m)(?:^|[\s])mypy[ \t]+([\w./\-]+(?:[ \t]+[\w./\-]+){0,5})[ \t]*(?:$|&&|;|\|)"
)
_SCRIPTS = ("Makefile", "scripts/lint.sh", "scripts/lint", "justfile", "tox.ini", "lint.sh")


def typechecks(tree: Tree, project: PythonProject) -> Iterator[TypecheckStep]:
    """The checkers that the project configures or asks for, and Django's own check."""
    here = project.path
    pyright = tree.first(here, "pyrightconfig.json") or _configured(project, "pyright")
    if pyright or project.has("pyright", "basedpyright"):
        program = "basedpyright" if project.has("basedpyright") else "pyright"
        yield _step(project, TypecheckTool.PYRIGHT, (program,), pyright, program)
    mypy = tree.first(here, "mypy.ini", ".mypy.ini") or _configured(project, "mypy")
    setup = tree.first(here, "setup.cfg")
    if mypy is None and setup and "mypy" in tree.ini(setup):
        mypy = setup
    if mypy or project.has("mypy"):
        yield _step(
            project, TypecheckTool.MYPY, ("mypy", *_mypy_targets(tree, project, mypy)), mypy, "mypy"
        )
    ty = tree.first(here, "ty.toml") or _configured(project, "ty")
    if ty or project.has("ty"):
        yield _step(project, TypecheckTool.TY, ("ty", "check"), ty, "ty")
    manage = at(here, "manage.py")
    if tree.has(manage) and "django" in tree.source(manage):
        argv = ("python", "manage.py", "check")
        yield _step(project, TypecheckTool.DJANGO_CHECK, argv, None, manage)


def tests(tree: Tree, project: PythonProject, inner: Sequence[str]) -> Iterator[TestSuite]:
    """One suite: pytest, Django's runner or unittest; ``inner`` are folders of other projects."""
    here = project.path
    files = [
        path
        for path in tree.below(here)
        if _TEST_FILE.fullmatch(basename(path))
        and not any(path.startswith(f"{folder}/") for folder in inner)
        and _ANY_TEST.search(tree.source(path))
    ]
    browser = [path for path in files if _BROWSER.search(tree.source(path))]
    if browser:
        tree.note(f"{browser[0]}: browser tests are not unit tests and are left out")
        files = [path for path in files if path not in browser]
    pytest_config = _pytest_config(tree, project)
    if not files:
        return
    manage = at(here, "manage.py")
    sources = [tree.source(path) for path in files[:50]]
    uses_pytest = project.has("pytest", "pytest-django", "pytest-asyncio") or any(
        map(_PYTEST_STYLE.search, sources)
    )
    if (
        tree.has(manage)
        and not project.has("pytest-django")
        and (any(map(_DJANGO_TEST.search, sources)) or not uses_pytest)
    ):
        yield _suite(project, TestRunner.DJANGO, ("python", "manage.py", "test"), files, manage)
    elif uses_pytest or pytest_config:
        yield _suite(
            project, TestRunner.PYTEST, ("python", "-m", "pytest"), files, pytest_config or files[0]
        )
    elif any(map(_UNITTEST_STYLE.search, sources)):
        yield _suite(project, TestRunner.UNITTEST, _unittest(here, files), files, files[0])
    else:
        yield _suite(project, TestRunner.PYTEST, ("python", "-m", "pytest"), files, files[0])


def _unittest(here: str, files: Sequence[str]) -> tuple[str, ...]:
    """Discovery finds ``test*.py``; modules of the top folder are named."""
    top = [path for path in files if (dirname(path) or ".") == here]
    if len(top) == len(files):
        return ("python", "-m", "unittest", *(basename(path).removesuffix(".py") for path in top))
    return ("python", "-m", "unittest", "discover")


def _pytest_config(tree: Tree, project: PythonProject) -> str | None:
    found = tree.first(project.path, "pytest.ini", ".pytest.ini")
    if found:
        return found
    if table(project.tool.get("pytest")):
        return f"{at(project.path, 'pyproject.toml')}:tool.pytest"
    for name, section in (("setup.cfg", "tool:pytest"), ("tox.ini", "pytest")):
        path = tree.first(project.path, name)
        if path and section in tree.ini(path):
            return path
    return None


def _configured(project: PythonProject, tool: str) -> str | None:
    return at(project.path, "pyproject.toml") if tool in project.tool else None


def _mypy_targets(tree: Tree, project: PythonProject, config: str | None) -> tuple[str, ...]:
    """What mypy is to check: the configuration's files, else a script's, else everything."""
    settings = table(project.tool.get("mypy"))
    if {"files", "packages", "modules"} & set(settings):
        return ()
    in_ini = (
        tree.ini(config).get("mypy", {}) if config and config.endswith((".ini", ".cfg")) else {}
    )
    if {"files", "packages", "modules"} & set(in_ini):
        return ()
    for name in _SCRIPTS:
        path = tree.first(project.path, name)
        match = _MYPY_CALL.search(tree.source(path)) if path else None
        if match:
            targets = tuple(word for word in match[1].split() if not word.startswith("-"))
            if targets:
                return targets
    return (".",)


def _step(
    project: PythonProject,
    tool: TypecheckTool,
    argv: tuple[str, ...],
    config: str | None,
    source: str,
) -> TypecheckStep:
    named = (
        at(project.path, "pyproject.toml")
        if source in ("pyright", "basedpyright", "mypy", "ty")
        else source
    )
    return TypecheckStep(
        name=f"{tool.value} {project.path}",
        argv=argv,
        cwd=project.path,
        package=project.path,
        tool=tool,
        config=config,
        source=config or named,
    )


def _suite(
    project: PythonProject,
    runner: TestRunner,
    argv: tuple[str, ...],
    files: Sequence[str],
    source: str,
) -> TestSuite:
    return TestSuite(
        name=f"{runner.value} {project.path}",
        argv=argv,
        cwd=project.path,
        package=project.path,
        runner=runner,
        files=tuple(files[:MAX_FILES]),
        source=source,
    )

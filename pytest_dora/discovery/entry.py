"""The Python modules that a start command loads; their import shows that installs fit the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from pytest_dora.discovery import python_code
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.files import join
from pytest_dora.discovery.parse import string, table
from pytest_dora.discovery.python import PythonProject
from pytest_dora.discovery.python_code import Application, Framework
from pytest_dora.model.plan import EntryModule, Role, StartPlan


def entry_of_start(
    context: Context,
    project: PythonProject,
    start: StartPlan,
    applications: Sequence[Application],
) -> Iterator[EntryModule]:
    """The modules that a start command names: ``uvicorn module:app``, ``python file.py``."""
    tree = context.tree
    for process in start.processes:
        if process.package != project.path or process.role is Role.PROXY:
            continue
        target = _target(process.argv) or _script_target(process.argv, project)
        if target is None:
            continue
        if target.endswith(".py"):
            path = join(process.cwd, target)
        else:
            folder = _app_dir(process.argv)
            base = join(process.cwd, folder) or process.cwd
            module = join(base, target.replace(".", "/"))
            path = next(
                (one for one in (f"{module}.py", f"{module}/__init__.py") if tree.has(one)), None
            )
        if path is None or not tree.has(path):
            continue
        known = next((one for one in applications if one.path == path), None)
        if known is None:
            if not target.endswith(".py"):
                yield EntryModule(
                    module=target, cwd=process.cwd, package=project.path, source=process.source
                )
            continue
        if known.framework is Framework.STREAMLIT:
            continue
        yield from python_code.entry_modules(tree, project, (known,))


def _target(argv: Sequence[str]) -> str | None:
    """The module or file that a Python command line loads."""
    words = list(argv)
    if words[:2] in (["uv", "run"], ["poetry", "run"], ["pipenv", "run"]):
        words = [word for word in words[2:] if not word.startswith("--")]
    if not words:
        return None
    program = words[0].rsplit("/", 1)[-1]
    if re.fullmatch(r"python3?(?:\.\d+)?", program):
        words = [word for word in words if word not in ("-u", "-O")]
        if words[1:2] == ["-m"] and len(words) > 2:
            words = words[2:]
            program = words[0]
            if program not in ("uvicorn", "gunicorn", "hypercorn", "flask"):
                return program if program not in ("streamlit", "http.server") else None
        else:
            return next((word for word in words[1:] if word.endswith(".py")), None)
    if program in ("uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "waitress-serve"):
        for word in words[1:]:
            match = re.fullmatch(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*(?:\(\))?", word)
            if match:
                return match[1]
        if program == "gunicorn" and re.fullmatch(r"[A-Za-z_]\w*(?:\.\w+)*", words[-1]):
            return words[-1]
    if program == "flask":
        for flag, value in pairwise(words):
            if flag in ("--app", "-A"):
                return value.partition(":")[0]
    return None


def _script_target(argv: Sequence[str], project: PythonProject) -> str | None:
    """The module behind a console script of the project (``uv run start-server``)."""
    words = [word for word in argv if not word.startswith("-")]
    if words[:2] in (["uv", "run"], ["poetry", "run"]):
        words = words[2:]
    tables = (table(project.pyproject.get("project")), table(project.tool.get("poetry")))
    for one in tables:
        target = string(table(one.get("scripts")).get(words[0])) if words else None
        if target and re.fullmatch(r"[\w.]+:[\w.]+", target):
            return target.partition(":")[0]
    return None


def _app_dir(argv: Sequence[str]) -> str:
    for index, word in enumerate(argv[:-1]):
        if word in ("--app-dir", "--chdir"):
            return argv[index + 1]
    return "."

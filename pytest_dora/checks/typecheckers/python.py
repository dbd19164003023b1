"""pyright, mypy, ty and Django's system check, from the project's own environment."""

from __future__ import annotations

from pytest_dora.checks.tree import sources
from pytest_dora.checks.typecheckers.base import (
    COMMAND_NOT_FOUND,
    Checked,
    Desk,
    conclude,
    unavailable,
)
from pytest_dora.checks.typecheckers.parsers import (
    Printed,
    parse_django,
    parse_mypy,
    parse_pyright,
    parse_ty,
)
from pytest_dora.runtime.diagnosis import network_trouble

_SUFFIXES = frozenset({".py"})
_MYPY_FLAGS = (
    "--no-pretty",
    "--no-color-output",
    "--show-error-codes",
    "--show-column-numbers",
    "--error-summary",
    "--cache-dir=/dev/null",
)
_NO_DOWNLOAD = (
    "pyright's wheel fetches its program when it first runs, which a sandbox does not allow: "
    "depend on basedpyright, or provide pyright on the PATH"
)


def check_pyright(desk: Desk) -> Checked:
    """Pyright (or basedpyright) with its JSON report, against the project's interpreter."""
    program = desk.step.argv[0] if "pyright" in desk.step.argv[0] else "pyright"
    interpreter = _interpreter(desk)
    flags = ("--outputjson", *(("--pythonpath", interpreter) if interpreter else ()))
    done, text = desk.run((program, *desk.step.argv[1:], *flags))
    printed = parse_pyright(text)
    if printed is None:
        if done.exit_code == COMMAND_NOT_FOUND:
            return unavailable(desk.step, f"{program} is configured but not installed with the app")
        if network_trouble(text) or "npm" in text[-4000:] or "nodeenv" in text:
            return unavailable(desk.step, _NO_DOWNLOAD)
        return conclude(desk, done, text, Printed(()), None)
    return conclude(desk, done, text, printed, printed.files)


def check_mypy(desk: Desk) -> Checked:
    """Mypy as the project configures it, without a cache that somebody committed."""
    done, text = desk.run((*_own_program(desk, "mypy"), *_MYPY_FLAGS))
    missing = _missing(desk, "mypy", done.exit_code, text)
    if missing:
        return missing
    printed = parse_mypy(text)
    files = 0 if "There are no .py" in text else printed.files
    return conclude(desk, done, text, printed, files)


def check_ty(desk: Desk) -> Checked:
    """``ty check``; it does not say how many files it read, so they are counted."""
    done, text = desk.run((*desk.step.argv, "--output-format", "concise"))
    missing = _missing(desk, "ty", done.exit_code, text)
    return missing or conclude(desk, done, text, parse_ty(text), _count(desk))


def check_django(desk: Desk) -> Checked:
    """``manage.py check``."""
    done, text = desk.run(desk.step.argv)
    return conclude(desk, done, text, parse_django(text), _count(desk))


def _own_program(desk: Desk, name: str) -> tuple[str, ...]:
    """``mypy …`` as a module, so that it is the one of the environment."""
    words = desk.step.argv
    return ("python", "-m", *words) if words[0] == name else words


def _missing(desk: Desk, name: str, exit_code: int | None, text: str) -> Checked | None:
    if exit_code == COMMAND_NOT_FOUND or f"No module named {name}" in text:
        return unavailable(desk.step, f"{name} is configured but not installed with the app")
    return None


def _interpreter(desk: Desk) -> str | None:
    """The interpreter of the project's environment, as commands in the sandbox see it."""
    package = desk.step.package
    for folder in (desk.step.cwd, package, "."):
        inner = ".venv/bin/python" if folder == "." else f"{folder}/.venv/bin/python"
        if (desk.view.root / inner).is_symlink() or (desk.view.root / inner).exists():
            return f"{desk.view.workdir}/{inner}"
    return None


def _count(desk: Desk) -> int:
    return sum(1 for _ in sources(desk.view.root, desk.step.cwd, _SUFFIXES))

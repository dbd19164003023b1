"""``go vet`` and ``php -l``."""

from __future__ import annotations

from pytest_dora.checks.tree import source_paths
from pytest_dora.checks.typecheckers.base import (
    COMMAND_NOT_FOUND,
    Checked,
    Desk,
    conclude,
    failed,
    unavailable,
)
from pytest_dora.checks.typecheckers.parsers import parse_php, parse_vet

_LINT_EACH = 'rc=0; for f in "$@"; do php -n -d display_errors=1 -l "$f" || rc=1; done; exit $rc'
_MAX_PHP_FILES = 2000


def check_go(desk: Desk) -> Checked:
    """``go vet``, which compiles everything first."""
    done, text = desk.run(desk.step.argv)
    if done.exit_code == COMMAND_NOT_FOUND:
        return unavailable(desk.step, "go is not installed here")
    files = sum(1 for _ in source_paths(desk.view.root, desk.step.cwd, frozenset({".go"})))
    return conclude(desk, done, text, parse_vet(text), files)


def check_php(desk: Desk) -> Checked:
    """``php -l`` for each of the app's own files."""
    step = desk.step
    paths = list(source_paths(desk.view.root, step.cwd, frozenset({".php"})))[:_MAX_PHP_FILES]
    if not paths:
        return failed(step, "nothing_checked", "there is no PHP file", files=0)
    prefix = "" if step.cwd == "." else f"{step.cwd}/"
    names = [f"./{path.removeprefix(prefix)}" for path in paths]
    done, text = desk.run(("sh", "-c", _LINT_EACH, "sh", *names))
    if "php: not found" in text or done.exit_code == COMMAND_NOT_FOUND:
        return unavailable(step, "php is not installed here")
    printed = parse_php(text)
    return conclude(desk, done, text, printed, printed.files)

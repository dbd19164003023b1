"""One module per language; ``check`` calls the tool that a step asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_dora.checks.typecheckers import compiled, python, typescript
from pytest_dora.checks.typecheckers.base import Checked, Desk
from pytest_dora.model.plan import TypecheckTool

CHECKERS: Mapping[TypecheckTool, Callable[[Desk], Checked]] = {
    TypecheckTool.TSC: typescript.check_typescript,
    TypecheckTool.PYRIGHT: python.check_pyright,
    TypecheckTool.MYPY: python.check_mypy,
    TypecheckTool.TY: python.check_ty,
    TypecheckTool.DJANGO_CHECK: python.check_django,
    TypecheckTool.GO_VET: compiled.check_go,
    TypecheckTool.PHP_LINT: compiled.check_php,
}


def check(desk: Desk) -> Checked:
    """Make one type check; never raises for what the app or its tool does."""
    return CHECKERS[desk.step.tool](desk)

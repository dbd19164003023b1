"""The checks of this project, in the order in which an app meets them."""

from __future__ import annotations

from pytest_dora.checks.build import check_build
from pytest_dora.checks.registry import EVERY_PROFILE, CheckSpec
from pytest_dora.checks.runtime import check_runtime
from pytest_dora.checks.tests import check_tests
from pytest_dora.checks.typecheck import check_typecheck
from pytest_dora.runtime.stage import Stage

BUILTIN: tuple[CheckSpec, ...] = (
    CheckSpec(
        "build",
        check_build,
        "a clean copy installs and builds, and its entry module imports",
        profiles=EVERY_PROFILE,
        retry=(Stage.SERVER, Stage.BUILT, Stage.TESTS_WORKSPACE, Stage.INSTALLED),
    ),
    CheckSpec(
        "typecheck",
        check_typecheck,
        "the project's own type checker reports no error",
        stages=(Stage.TESTS_WORKSPACE,),
    ),
    CheckSpec(
        "tests",
        check_tests,
        "at least one test ran and none failed",
        retry=(Stage.TESTS_WORKSPACE,),
        stages=(Stage.TESTS_WORKSPACE,),
    ),
    CheckSpec(
        "runtime",
        check_runtime,
        "the app starts from its plan, answers HTTP and stays alive",
        profiles=EVERY_PROFILE,
        retry=(Stage.SERVER,),
    ),
)

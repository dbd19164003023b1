"""The tests check with real runners: what it says of apps that are good, bad, empty and hostile."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_dora.checks.tests import check_tests
from pytest_dora.model.plan import Plan, TestRunner, TestSuite
from pytest_dora.model.result import CheckResult, Outcome
from tests.unit.checks.bench import NODE_PACKAGE, PYTHON_PACKAGE, make_session, write

JS = "exports.add = (a, b) => a + b;\nexports.never = () => {\n  return 1;\n};\n"
TS = "export const add = (a: number, b: number) => a + b;\nexport const never = () => {\n  return 1;\n};\n"
PY = "def add(a, b):\n    return a + b\n\n\ndef never():\n    return 1\n"

Judge = Callable[..., CheckResult]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def run(
        files: dict[str, str],
        *argv: str,
        runner: str,
        modules: Path | None = None,
        cwd: str = ".",
        seconds: float = 60,
        missing: tuple[str, ...] = (),
        path: tuple[Path, ...] = (),
    ) -> CheckResult:
        root = write(tmp_path / "app", files)
        if modules is not None:
            (root / "node_modules").symlink_to(modules)
        tests = tuple(name for name in files if "test" in name)
        suite = TestSuite(
            name="unit",
            argv=argv,
            runner=TestRunner(runner),
            cwd=cwd,
            files=tests,
            source="package.json",
        )
        plan = Plan(packages=(NODE_PACKAGE,), tests=(suite,))
        return check_tests(
            make_session(root, plan, tests_seconds=seconds, missing=missing, path=path)
        )

    return run


def vitest_app(sum_: int = 3) -> dict[str, str]:
    return {
        "src/m.ts": TS,
        "src/m.test.ts": f'import {{ expect, test }} from "vitest";\nimport {{ add }} from "./m";\ntest("adds", () => expect(add(1, 2)).toBe({sum_}));\ntest.skip("later", () => {{}});\n',
    }


def pytest_app(sum_: int = 3) -> dict[str, str]:
    return {
        "shop/m.py": PY,
        "shop/unused.py": "x = 1\n",
        "tests/test_m.py": f"from shop.m import add\n\n\ndef test_adds():\n    assert add(1, 2) == {sum_}\n",
    }


class TestVitest:
    def test_passes_with_counts_and_line_coverage(self, judge: Judge, vitest: Path) -> None:
        result = judge(vitest_app(), "npx", "vitest", runner="vitest", modules=vitest)
        assert (result.outcome, result.reason) == (Outcome.PASSED, None)
        assert result.measurements["passed"] == 1
        assert result.measurements["skipped"] == 1
        assert 0 < float(str(result.measurements["coverage_pct"])) < 100
        assert result.measurements["coverage_files"] == 1

    def test_names_the_first_failing_test(self, judge: Judge, vitest: Path) -> None:
        result = judge(vitest_app(4), "vitest", "run", runner="vitest", modules=vitest)
        assert (result.outcome, result.reason) == (Outcome.FAILED, "tests_failed")
        assert result.message.startswith("adds: AssertionError: expected 3 to be 4")

    def test_finds_no_test_where_the_config_lets_that_pass(
        self, judge: Judge, vitest: Path
    ) -> None:
        files = {"vitest.config.mjs": "export default { test: { passWithNoTests: true } };\n"}
        assert judge(files, "vitest", "run", runner="vitest", modules=vitest).reason == "no_tests"

    def test_without_provider_coverage_is_null_with_a_reason(
        self, judge: Judge, npm_tool: Callable[..., Path]
    ) -> None:
        modules = npm_tool("vitest-alone-3.2.4", "vitest@3.2.4")
        result = judge(vitest_app(), "vitest", "run", runner="vitest", modules=modules)
        assert result.outcome is Outcome.PASSED
        assert result.measurements["coverage_pct"] is None
        assert "provider" in str(result.measurements["coverage_missing"])


class TestJest:
    FILES: dict[str, Any] = {
        "package.json": '{"scripts": {"test": "jest"}, "jest": {"coverageThreshold": {"global": {"lines": 99}}}}',
        "m.js": JS,
        "m.test.js": 'const { add } = require("./m");\ntest("adds", () => expect(add(1, 2)).toBe(3));\n',
    }

    def test_passes_through_the_script_and_ignores_thresholds_nobody_asked_for(
        self, judge: Judge, jest: Path
    ) -> None:
        result = judge(self.FILES, "npm", "test", runner="jest", modules=jest)
        assert result.outcome is Outcome.PASSED
        assert 0 < float(str(result.measurements["coverage_pct"])) < 100

    def test_fails_by_the_threshold_that_the_app_asks_for(self, judge: Judge, jest: Path) -> None:
        result = judge(self.FILES, "npx", "jest", "--coverage", runner="jest", modules=jest)
        assert (result.outcome, result.reason) == (Outcome.FAILED, "command_failed")
        assert "although every test passed" in result.message

    def test_does_not_count_compiled_tests_again(self, judge: Judge, jest: Path) -> None:
        files = {**self.FILES, "dist/m.js": JS, "dist/m.test.js": self.FILES["m.test.js"]}
        result = judge(files, "jest", runner="jest", modules=jest)
        assert result.measurements["tests_total"] == 1

    def test_broken_file_is_a_collection_error(self, judge: Judge, jest: Path) -> None:
        files = {**self.FILES, "b.test.js": 'require("./nope");\ntest("x", () => {});\n'}
        result = judge(files, "jest", runner="jest", modules=jest)
        assert result.reason == "collection_error"
        assert "Cannot find module './nope'" in result.message


class TestMocha:
    def test_passes_with_coverage_by_c8(self, judge: Judge, mocha: Path) -> None:
        files = {
            "m.js": JS,
            "test/m.js": 'const assert = require("assert");\nconst { add } = require("../m");\nit("adds", () => assert.equal(add(1, 2), 3));\n',
        }
        result = judge(files, "npx", "mocha", runner="mocha", modules=mocha)
        assert result.outcome is Outcome.PASSED
        assert 0 < float(str(result.measurements["coverage_pct"])) < 100

    def test_finds_no_test(self, judge: Judge, mocha: Path) -> None:
        assert judge({"m.js": JS}, "mocha", runner="mocha", modules=mocha).reason == "no_tests"


class TestBun:
    def test_passes_with_lcov_and_without_its_own_test_files(self, judge: Judge, bun: Path) -> None:
        files = {
            "m.ts": TS,
            "m.test.ts": 'import { expect, test } from "bun:test";\nimport { add } from "./m";\ntest("adds", () => expect(add(1, 2)).toBe(3));\n',
        }
        result = judge(files, "bun", "test", runner="bun", path=(bun / ".bin",))
        assert result.outcome is Outcome.PASSED
        assert result.measurements["coverage_files"] == 1

    def test_compiled_tests_do_not_count_twice(self, judge: Judge, bun: Path) -> None:
        body = 'import { expect, test } from "bun:test";\ntest("adds", () => expect(1).toBe(1));\n'
        files = {"m.test.ts": body, "dist/m.test.js": body}
        result = judge(files, "bun", "test", runner="bun", path=(bun / ".bin",))
        assert result.measurements["tests_total"] == 1

    def test_one_file_that_cannot_be_loaded_fails_the_others(self, judge: Judge, bun: Path) -> None:
        good = 'import { expect, test } from "bun:test";\ntest("adds", () => expect(1).toBe(1));\n'
        files = {"a.test.ts": good, "b.test.ts": f'import "./nope";\n{good}'}
        result = judge(files, "bun", "test", runner="bun", path=(bun / ".bin",))
        assert result.reason == "collection_error"
        assert "nope" in result.message

    def test_finds_no_test(self, judge: Judge, bun: Path) -> None:
        assert (
            judge({"m.ts": TS}, "bun", "test", runner="bun", path=(bun / ".bin",)).reason
            == "no_tests"
        )


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
class TestNode:
    GOOD = 'const test = require("node:test");\nconst assert = require("node:assert");\nconst { add } = require("./m");\ntest("adds", () => assert.equal(add(1, 2), 3));\n'

    def test_passes_with_lcov(self, judge: Judge) -> None:
        result = judge({"m.js": JS, "m.test.js": self.GOOD}, "node", "--test", runner="node")
        assert result.outcome is Outcome.PASSED
        assert result.measurements["tests_total"] == 1

    def test_a_file_without_any_test_is_no_test_that_passed(self, judge: Judge) -> None:
        result = judge({"m.test.js": "console.log(1);\n"}, "node", "--test", runner="node")
        assert (result.outcome, result.reason) == (Outcome.FAILED, "no_tests")

    def test_finds_no_file(self, judge: Judge) -> None:
        assert judge({"m.js": JS}, "node", "--test", runner="node").reason == "no_tests"

    def test_a_broken_file_is_a_collection_error(self, judge: Judge) -> None:
        files = {"m.js": JS, "m.test.js": self.GOOD, "b.test.js": 'require("./nope");\n'}
        assert judge(files, "node", "--test", runner="node").reason == "collection_error"


class TestPytest:
    def test_passes_and_counts_files_that_no_test_imports(self, judge: Judge) -> None:
        result = judge(pytest_app(), "python", "-m", "pytest", runner="pytest")
        assert result.outcome is Outcome.PASSED
        assert result.measurements["coverage_pct"] == 60.0
        assert result.measurements["coverage_files"] == 2

    def test_bare_pytest_does_not_make_the_folder_importable(self, judge: Judge) -> None:
        result = judge(pytest_app(), "pytest", runner="pytest")
        assert result.reason == "collection_error"
        assert "shop" in result.message

    def test_names_the_first_failing_test(self, judge: Judge) -> None:
        result = judge(pytest_app(4), "python", "-m", "pytest", runner="pytest")
        assert result.message == "tests.test_m > test_adds: assert 3 == 4"

    def test_finds_no_test(self, judge: Judge) -> None:
        assert (
            judge({"shop/m.py": PY}, "python", "-m", "pytest", runner="pytest").reason == "no_tests"
        )

    def test_collects_tests_in_a_file_of_an_unusual_name(self, judge: Judge) -> None:
        files = {"tests.py": "def test_a():\n    assert 1\n"}
        assert judge(files, "python", "-m", "pytest", runner="pytest").outcome is Outcome.PASSED

    def test_all_skipped_is_no_pass(self, judge: Judge) -> None:
        files = {"test_a.py": "import pytest\n\n\n@pytest.mark.skip\ndef test_a():\n    assert 1\n"}
        assert judge(files, "python", "-m", "pytest", runner="pytest").reason == "all_skipped"

    def test_leaving_early_with_0_is_no_pass(self, judge: Judge) -> None:
        files = {"test_a.py": "import os\n\n\ndef test_a():\n    os._exit(0)\n"}
        assert judge(files, "python", "-m", "pytest", runner="pytest").reason == "report_missing"

    def test_endless_test_is_a_timeout(self, judge: Judge) -> None:
        files = {"test_a.py": "import time\n\n\ndef test_a():\n    time.sleep(60)\n"}
        result = judge(files, "python", "-m", "pytest", runner="pytest", seconds=3)
        assert result.reason == "timeout"

    def test_failure_for_want_of_a_service_is_inconclusive(self, judge: Judge) -> None:
        result = judge(pytest_app(4), "python", "-m", "pytest", runner="pytest", missing=("mysql",))
        assert (result.outcome, result.reason) == (Outcome.INCONCLUSIVE, "service_missing")


class TestUnittest:
    FILES: dict[str, Any] = {
        "shop/m.py": PY,
        "tests.py": "import unittest\nfrom shop.m import add\n\n\nclass T(unittest.TestCase):\n    def test_adds(self):\n        self.assertEqual(add(1, 2), 3)\n\n    @unittest.skip('later')\n    def test_later(self):\n        pass\n\n\nif __name__ == '__main__':\n    unittest.main()\n",
    }

    @pytest.mark.parametrize(
        "argv", [("python", "tests.py"), ("python", "-m", "unittest", "tests")]
    )
    def test_counts_and_measures(self, judge: Judge, argv: tuple[str, ...]) -> None:
        result = judge(self.FILES, *argv, runner="unittest")
        assert result.outcome is Outcome.PASSED
        assert (result.measurements["passed"], result.measurements["skipped"]) == (1, 1)
        assert result.measurements["coverage_pct"] == 75.0

    def test_failure_is_told(self, judge: Judge) -> None:
        files = {**self.FILES, "tests.py": self.FILES["tests.py"].replace("), 3)", "), 4)")}
        result = judge(files, "python", "tests.py", runner="unittest")
        assert result.message == "__main__.T.test_adds: AssertionError: 3 != 4"

    def test_module_that_cannot_be_imported_is_broken(self, judge: Judge) -> None:
        files = {"tests.py": "import nope\n"}
        result = judge(files, "python", "-m", "unittest", "tests", runner="unittest")
        assert result.reason == "collection_error"
        assert "nope" in result.message

    def test_script_that_only_prints_has_no_tests(self, judge: Judge) -> None:
        assert (
            judge({"tests.py": "print('ok')\n"}, "python", "tests.py", runner="unittest").reason
            == "no_tests"
        )


class TestDjango:
    FILES: dict[str, Any] = {
        "manage.py": (
            "import os\nimport sys\n\nfrom django.core.management import execute_from_command_line\n\n"
            'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "conf.settings")\n'
            "execute_from_command_line(sys.argv)\n"
        ),
        "conf/settings.py": (
            'SECRET_KEY = "x"\nINSTALLED_APPS = ["shop"]\nUSE_TZ = True\n'
            'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}\n'
            'DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"\n'
        ),
        "shop/__init__.py": "",
        "shop/models.py": (
            "from django.db import models\n\n\nclass Cart(models.Model):\n"
            "    name = models.CharField(max_length=9)\n\n    def never(self):\n        return 1\n"
        ),
        "shop/tests.py": (
            "from django.test import TestCase\n\nfrom shop.models import Cart\n\n\n"
            "class T(TestCase):\n    def test_count(self):\n        Cart.objects.create(name='x')\n"
            "        self.assertEqual(Cart.objects.count(), 1)\n"
        ),
    }
    ARGV = ("python", "manage.py", "test")

    def test_counts_and_measures(self, judge: Judge, django: Path) -> None:
        result = judge(self.FILES, *self.ARGV, runner="django", path=(django,))
        assert result.outcome is Outcome.PASSED
        assert result.measurements["passed"] == 1
        assert 0 < float(str(result.measurements["coverage_pct"])) < 100

    def test_parallel_results_are_counted(self, judge: Judge, django: Path) -> None:
        files = {
            **self.FILES,
            "shop/tests.py": self.FILES["shop/tests.py"] + "\n\nclass U(T):\n    pass\n",
        }
        result = judge(files, *self.ARGV, "--parallel", "2", runner="django", path=(django,))
        assert result.measurements["passed"] == 2

    def test_exit_0_without_any_test_is_no_pass(self, judge: Judge, django: Path) -> None:
        files = {**self.FILES, "shop/tests.py": ""}
        assert judge(files, *self.ARGV, runner="django", path=(django,)).reason == "no_tests"


class TestCommand:
    def test_totals_in_the_text_are_enough(self, judge: Judge) -> None:
        result = judge({}, "echo", "Tests: 3 passed, 3 total", runner="command")
        assert result.outcome is Outcome.PASSED
        assert result.measurements["passed"] == 3

    def test_silence_is_inconclusive(self, judge: Judge) -> None:
        assert judge({}, "true", runner="command").outcome is Outcome.INCONCLUSIVE

    def test_exit_1_fails(self, judge: Judge) -> None:
        assert judge({}, "false", runner="command").outcome is Outcome.FAILED


def test_no_suite_fails_with_no_tests_and_reaches_nothing(tmp_path: Path) -> None:
    session = make_session(write(tmp_path / "app", {}), Plan(packages=(PYTHON_PACKAGE,)))
    result = check_tests(session)
    assert (result.outcome, result.reason) == (Outcome.FAILED, "no_tests")
    assert result.findings[0].remediation is not None


def test_one_bad_suite_of_two_fails_and_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "app", {f"api/{name}": text for name, text in pytest_app().items()})
    write(root, {f"web/{name}": text for name, text in pytest_app(4).items()})
    suites = tuple(
        TestSuite(
            name=f"pytest {cwd}",
            argv=(sys.executable, "-m", "pytest"),
            cwd=cwd,
            runner=TestRunner.PYTEST,
            files=(f"{cwd}/tests/test_m.py",),
            source="x",
        )
        for cwd in ("api", "web")
    )
    result = check_tests(make_session(root, Plan(packages=(PYTHON_PACKAGE,), tests=suites)))
    assert result.reason == "tests_failed"
    assert result.message.startswith("web: ")
    assert result.measurements["coverage_files"] == 4
    assert [one.outcome.value for one in result.findings][:2] == ["pass", "fail"]

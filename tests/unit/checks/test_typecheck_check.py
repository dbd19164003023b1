"""The typecheck check with real tools: errors, nothing to check, tricks, missing tools."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_dora.checks.typecheck import check_typecheck
from pytest_dora.model.plan import Plan, TypecheckStep, TypecheckTool
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.runtime.stage import Stage
from tests.unit.checks.bench import NODE_PACKAGE, PYTHON_PACKAGE, make_session, write

CONFIG = '{"compilerOptions": {"strict": true}, "include": ["src"]}'
Judge = Callable[..., CheckResult]


def step(tool: str, *argv: str, config: str | None = None, cwd: str = ".") -> TypecheckStep:
    return TypecheckStep(
        name=tool,
        tool=TypecheckTool(tool),
        argv=argv or (tool,),
        config=config,
        cwd=cwd,
        source="x",
    )


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    def run(
        files: dict[str, str],
        *steps: TypecheckStep,
        modules: Path | None = None,
        path: tuple[Path, ...] = (),
    ) -> CheckResult:
        root = write(tmp_path / "app", files)
        if modules is not None:
            (root / "node_modules").symlink_to(modules)
        return check_typecheck(
            make_session(root, Plan(packages=(NODE_PACKAGE,), typechecks=steps), path=path)
        )

    return run


def tsc(config: str = "tsconfig.json", cwd: str = ".") -> TypecheckStep:
    return step("tsc", "tsc", "-p", config, config=config, cwd=cwd)


class TestTsc:
    def test_passes_for_correct_types_in_more_than_no_file(
        self, judge: Judge, typescript: Path
    ) -> None:
        files = {"tsconfig.json": CONFIG, "src/a.ts": "export const a: number = 1;\n"}
        result = judge(files, tsc(), modules=typescript)
        assert (result.outcome, result.message) == (Outcome.PASSED, "no error in 1 file")
        assert result.measurements["strict"] is not None

    def test_names_the_first_error_with_file_and_line(self, judge: Judge, typescript: Path) -> None:
        files = {"web/tsconfig.json": CONFIG, "web/src/a.ts": 'export const a: number = "x";\n'}
        result = judge(files, tsc("web/tsconfig.json", "web"), modules=typescript)
        assert (result.outcome, result.reason) == (Outcome.FAILED, "type_errors")
        assert result.message.startswith("web/src/a.ts:1: TS2322")
        assert result.findings[0].locations == ("web/src/a.ts:1",)
        assert result.measurements["by_code"] == {"TS2322": 1}

    @pytest.mark.parametrize(
        "files",
        [
            {"tsconfig.json": '{"files": []}'},
            {"tsconfig.json": CONFIG},
            {
                "tsconfig.json": CONFIG,
                "src/a.ts": '// @ts-nocheck\nexport const a: number = "x";\n',
            },
            {"tsconfig.json": CONFIG, "src/env.d.ts": "declare const a: number;\n"},
        ],
        ids=["solution", "no-input", "nocheck", "declarations"],
    )
    def test_an_empty_check_is_no_pass(
        self, judge: Judge, typescript: Path, files: dict[str, str]
    ) -> None:
        result = judge(files, tsc(), modules=typescript)
        assert (result.outcome, result.reason) == (Outcome.FAILED, "nothing_checked")

    def test_committed_build_info_is_not_believed(
        self, judge: Judge, typescript: Path, tmp_path: Path
    ) -> None:
        config = '{"compilerOptions": {"composite": true, "outDir": "o", "tsBuildInfoFile": "x.tsbuildinfo"}, "include": ["src"]}'
        result = judge(
            {"tsconfig.json": config, "src/a.ts": 'export const a: number = "x";\n'},
            tsc(),
            modules=typescript,
        )
        assert result.reason == "type_errors"
        assert not (tmp_path / "app/o").exists()

    def test_errors_of_dependencies_do_not_fail_the_app(
        self, judge: Judge, typescript: Path, tmp_path: Path
    ) -> None:
        modules = tmp_path / "modules"
        write(
            modules,
            {
                "dep/index.ts": "export const d: number = 'x';\n",
                "dep/package.json": '{"types": "index.ts"}',
            },
        )
        for name in (".bin", "typescript"):
            (modules / name).symlink_to(typescript / name)
        files = {
            "tsconfig.json": CONFIG,
            "src/a.ts": 'import { d } from "dep";\nexport const a: number = d;\n',
        }
        result = judge(files, tsc(), modules=modules)
        assert result.outcome is Outcome.PASSED

    def test_references_are_built_and_the_workspace_is_not_used_again(
        self, tmp_path: Path, typescript: Path
    ) -> None:
        root = write(
            tmp_path / "app",
            {
                "lib/tsconfig.json": '{"compilerOptions": {"composite": true, "outDir": "../o", "rootDir": "."}}',
                "lib/l.ts": "export const l = 1;\n",
                "web/tsconfig.json": '{"references": [{"path": "../lib"}]}',
                "web/a.ts": 'import { l } from "../lib/l";\nexport const s: string = l;\n',
            },
        )
        (root / "node_modules").symlink_to(typescript)
        plan = Plan(packages=(NODE_PACKAGE,), typechecks=(tsc("web/tsconfig.json", "web"),))
        session = make_session(root, plan)
        result = check_typecheck(session)
        assert "TS2322" in result.message
        assert session.resets == [Stage.TESTS_WORKSPACE]  # type: ignore[attr-defined]

    def test_missing_typescript_is_never_downloaded(self, judge: Judge, tmp_path: Path) -> None:
        result = judge({"tsconfig.json": CONFIG, "src/a.ts": ""}, tsc())
        assert (result.outcome, result.reason) == (Outcome.FAILED, "tool_not_installed")
        assert "typescript" in result.message
        assert not (tmp_path / "app/node_modules").exists()

    def test_next_apps_get_the_declarations_that_next_writes(
        self, judge: Judge, typescript: Path, tmp_path: Path
    ) -> None:
        modules = tmp_path / "modules"
        modules.mkdir()
        (modules / "typescript").symlink_to(typescript / "typescript")
        write(
            modules,
            {
                ".bin/next": "#!/bin/sh\nexit 1\n",
                ".bin/tsc": '#!/bin/sh\nexec node "$(dirname "$0")/../typescript/bin/tsc" "$@"\n',
                "next/package.json": '{"types": "index.d.ts"}',
                "next/index.d.ts": "export {};\n",
                "next/image-types/global.d.ts": 'declare module "*.svg" { const url: string; export default url; }\n',
            },
        )
        (modules / ".bin/tsc").chmod(0o755)
        config = '{"compilerOptions": {"strict": true, "moduleResolution": "node", "module": "esnext"}, "include": ["next-env.d.ts", "src"]}'
        files = {
            "tsconfig.json": config,
            "src/a.ts": 'import logo from "./logo.svg";\nexport const s: string = logo;\n',
        }
        assert judge(files, tsc(), modules=modules).outcome is Outcome.PASSED

    def test_hanging_compiler_is_a_timeout(self, tmp_path: Path) -> None:
        root = write(
            tmp_path / "app",
            {"tsconfig.json": CONFIG, "node_modules/.bin/tsc": "#!/bin/sh\nsleep 60\n"},
        )
        (root / "node_modules/.bin/tsc").chmod(0o755)
        session = make_session(
            root, Plan(packages=(NODE_PACKAGE,), typechecks=(tsc(),)), typecheck_seconds=1
        )
        assert check_typecheck(session).reason == "timeout"

    @pytest.mark.parametrize("says", ["exit 0", "echo done; exit 0", "echo /app/x.ts; exit 0"])
    def test_a_compiler_that_only_says_yes_is_no_pass(self, tmp_path: Path, says: str) -> None:
        root = write(
            tmp_path / "app",
            {"tsconfig.json": CONFIG, "node_modules/.bin/tsc": f"#!/bin/sh\n{says}\n"},
        )
        (root / "node_modules/.bin/tsc").chmod(0o755)
        session = make_session(root, Plan(packages=(NODE_PACKAGE,), typechecks=(tsc(),)))
        assert check_typecheck(session).reason == "nothing_checked"


class TestPython:
    GOOD = "def double(x: int) -> int:\n    return 2 * x\n"
    BAD = "def double(x: int) -> str:\n    return 2 * x\n"

    @pytest.mark.parametrize(("source", "reason"), [(GOOD, None), (BAD, "type_errors")])
    def test_mypy(self, judge: Judge, source: str, reason: str | None) -> None:
        files = {"pyproject.toml": "[tool.mypy]\nstrict = true\n", "app/m.py": source}
        result = judge(files, step("mypy", "mypy", ".", config="pyproject.toml"))
        assert result.reason == reason
        assert result.measurements["files_checked"] == 1

    def test_mypy_over_no_file_is_no_pass(self, judge: Judge) -> None:
        assert judge({"docs/x.txt": ""}, step("mypy", "mypy", "docs")).outcome is Outcome.FAILED

    @pytest.mark.parametrize(("source", "reason"), [(GOOD, None), (BAD, "type_errors")])
    def test_pyright(self, judge: Judge, pyright: Path, source: str, reason: str | None) -> None:
        files = {"pyproject.toml": "[tool.pyright]\n", "app/m.py": source}
        result = judge(files, step("pyright", config="pyproject.toml"), path=(pyright / ".bin",))
        assert result.reason == reason
        assert result.measurements["files_checked"] == 1

    def test_pyright_over_no_file_is_no_pass(self, judge: Judge, pyright: Path) -> None:
        result = judge({"x.txt": ""}, step("pyright"), path=(pyright / ".bin",))
        assert result.reason == "nothing_checked"

    @pytest.mark.parametrize("tool", ["pyright", "ty"])
    def test_tool_that_is_not_installed_is_inconclusive(self, judge: Judge, tool: str) -> None:
        result = judge(
            {"app/m.py": self.GOOD}, step(tool, tool, *(["check"] if tool == "ty" else []))
        )
        assert (result.outcome, result.reason) == (Outcome.INCONCLUSIVE, "tool_missing")

    def test_pyright_that_wants_to_download_itself_is_inconclusive(
        self, judge: Judge, tmp_path: Path
    ) -> None:
        script = "#!/bin/sh\necho 'npm error network request to registry failed' >&2\nexit 1\n"
        write(tmp_path / "bin", {"pyright": script})
        (tmp_path / "bin/pyright").chmod(0o755)
        result = judge({"app/m.py": self.GOOD}, step("pyright"), path=(tmp_path / "bin",))
        assert (result.outcome, result.reason) == (Outcome.INCONCLUSIVE, "tool_missing")


def test_a_failed_step_weighs_more_than_one_without_a_tool(judge: Judge) -> None:
    files = {"app/m.py": TestPython.BAD}
    result = judge(
        files, step("ty", "ty", "check"), step("mypy", sys.executable, "-m", "mypy", "app")
    )
    assert result.reason == "type_errors"
    assert [one.outcome.value for one in result.findings] == ["unavailable", "fail"]


def test_nothing_configured_is_not_applicable(tmp_path: Path) -> None:
    session = make_session(write(tmp_path / "app", {}), Plan(packages=(PYTHON_PACKAGE,)))
    result = check_typecheck(session)
    assert (result.outcome, result.reason) == (Outcome.NOT_APPLICABLE, "no_type_configuration")

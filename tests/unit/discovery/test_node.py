from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.model.plan import Manager, Plan, TestRunner

Planner = Callable[[dict[str, Any]], Plan]
PACKAGE = {"name": "a", "scripts": {"build": "tsc"}, "dependencies": {"express": "4"}}


@pytest.mark.parametrize(
    ("files", "manager", "lockfile", "version"),
    [
        ({"package-lock.json": "{}"}, Manager.NPM, "package-lock.json", None),
        ({"pnpm-lock.yaml": ""}, Manager.PNPM, "pnpm-lock.yaml", None),
        ({"yarn.lock": ""}, Manager.YARN, "yarn.lock", None),
        ({"bun.lock": ""}, Manager.BUN, "bun.lock", None),
        ({"bun.lockb": b"\0"}, Manager.BUN, "bun.lockb", None),
        ({"package-lock.json": "{}", "bun.lockb": b"\0"}, Manager.NPM, "package-lock.json", None),
        ({}, Manager.NPM, None, None),
        ({".yarnrc.yml": "nodeLinker: node-modules"}, Manager.YARN, None, None),
        (
            {"package.json": {**PACKAGE, "scripts": {"dev": "bun --hot a.ts"}}},
            Manager.BUN,
            None,
            None,
        ),
        (
            {
                "package.json": {**PACKAGE, "packageManager": "yarn@4.5.3+sha512.abc"},
                "yarn.lock": "",
            },
            Manager.YARN,
            "yarn.lock",
            "4.5.3",
        ),
        (
            {
                "package.json": {**PACKAGE, "packageManager": "bun@1.1.0"},
                "package-lock.json": "{}",
                "bun.lock": "",
            },
            Manager.BUN,
            "bun.lock",
            "1.1.0",
        ),
        (
            {"package.json": {**PACKAGE, "packageManager": "yarn@1.22.22"}},
            Manager.YARN,
            None,
            "1.22.22",
        ),
    ],
)
def test_the_manager_is_the_pinned_one_else_that_of_the_lockfile(
    plan: Planner,
    files: dict[str, Any],
    manager: Manager,
    lockfile: str | None,
    version: str | None,
) -> None:
    (package,) = plan({"package.json": PACKAGE, **files}).packages
    assert (package.manager, package.lockfile) == (manager, lockfile)
    assert package.manager_version == version


def test_several_lockfiles_are_worth_a_note(plan: Planner) -> None:
    found = plan({"package.json": PACKAGE, "package-lock.json": "{}", "yarn.lock": ""})
    assert any("several lockfiles" in note for note in found.notes)


def test_the_interpreter_is_the_engine_else_the_version_file(plan: Planner) -> None:
    (package,) = plan({"package.json": {**PACKAGE, "engines": {"node": ">=20"}}}).packages
    assert package.runtime_requires == ">=20"
    (package,) = plan({"package.json": PACKAGE, ".nvmrc": "v22.3.0\n"}).packages
    assert package.runtime_requires == "22.3.0"


def workspace(root: dict[str, Any], **members: dict[str, Any]) -> dict[str, Any]:
    files: dict[str, Any] = {"package.json": root}
    for folder, manifest in members.items():
        files[f"{folder.replace('__', '/')}/package.json"] = manifest
    return files


@pytest.mark.parametrize("form", ["list", "table", "pnpm", "lerna"])
def test_members_of_a_workspace_are_no_packages_of_their_own(plan: Planner, form: str) -> None:
    root: dict[str, Any] = {"name": "root", "private": True}
    extra: dict[str, Any] = {}
    patterns = ["apps/*", "packages/*", "!packages/old"]
    if form == "list":
        root["workspaces"] = patterns
    elif form == "table":
        root["workspaces"] = {"packages": patterns, "nohoist": []}
    elif form == "pnpm":
        extra["pnpm-workspace.yaml"] = "packages:\n" + "".join(f"  - '{one}'\n" for one in patterns)
    else:
        extra["lerna.json"] = {"packages": patterns}
    found = plan(
        workspace(
            root,
            apps__web={"name": "web", "scripts": {"build": "vite build"}},
            packages__ui={"name": "ui", "scripts": {"build": "tsup"}},
            packages__old={"name": "old"},
        )
        | extra
    )
    (package,) = found.packages
    assert package.members == ("apps/web", "packages/ui")
    assert "packages/ui/package.json" in package.manifests
    assert {build.package for build in found.builds} == {"."}


def test_a_pnpm_workspace_without_packages_is_one_package(plan: Planner) -> None:
    found = plan(
        {
            "package.json": PACKAGE,
            "pnpm-lock.yaml": "",
            "pnpm-workspace.yaml": "onlyBuiltDependencies:\n  - esbuild\n",
        }
    )
    (package,) = found.packages
    assert (package.manager, package.members) == (Manager.PNPM, ())


def test_members_build_after_those_they_depend_on_and_servers_last(plan: Planner) -> None:
    found = plan(
        workspace(
            {"workspaces": ["*"]},
            server={"name": "s", "scripts": {"build": "tsc"}, "dependencies": {"lib": "*"}},
            client={"name": "c", "scripts": {"build": "vite build"}, "dependencies": {"lib": "*"}},
            zlib={"name": "lib", "scripts": {"build": "tsup"}},
        )
    )
    assert [build.cwd for build in found.builds] == ["zlib", "client", "server"]
    assert found.builds[1].argv == ("npm", "run", "build")


def test_members_that_depend_on_each_other_do_not_hang(plan: Planner) -> None:
    found = plan(
        workspace(
            {"workspaces": ["*"]},
            a={"name": "a", "scripts": {"build": "tsc"}, "dependencies": {"b": "*"}},
            b={"name": "b", "scripts": {"build": "tsc"}, "dependencies": {"a": "*"}},
        )
    )
    assert {build.cwd for build in found.builds} == {"a", "b"}


def test_a_root_that_builds_everything_is_the_only_build(plan: Planner) -> None:
    found = plan(
        workspace(
            {"workspaces": ["*"], "scripts": {"build": "npm run build --workspaces"}},
            a={"name": "a", "scripts": {"build": "tsc"}},
        )
    )
    assert [build.cwd for build in found.builds] == ["."]
    assert found.builds[0].source == "package.json:scripts.build"


def test_a_nested_package_that_the_root_builds_is_not_built_twice(plan: Planner) -> None:
    found = plan(
        workspace(
            {
                "scripts": {"build": "npm run build --prefix client"},
                "dependencies": {"express": "4"},
            },
            client={"name": "c", "scripts": {"build": "vite build"}, "dependencies": {"vite": "5"}},
        )
    )
    assert [package.path for package in found.packages] == [".", "client"]
    assert [build.cwd for build in found.builds] == ["."]


def test_independent_clients_are_built_before_servers(plan: Planner) -> None:
    found = plan(
        workspace(
            {"name": "root"},
            backend={"scripts": {"build": "tsc"}},
            frontend={"scripts": {"build": "vite build"}},
        )
    )
    assert [build.cwd for build in found.builds] == ["frontend", "backend"]


def test_a_build_script_that_does_nothing_is_no_build(plan: Planner) -> None:
    found = plan({"package.json": {"scripts": {"build": "echo 'nothing to build'"}}})
    assert found.builds == ()
    assert any("does nothing" in note for note in found.notes)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ("dist",)),
        ({"vite.config.ts": "export default {build: {outDir: 'out'}}"}, ("out",)),
        (
            {"vite.config.ts": "export default {root: 'web', build: {outDir: '../public/app'}}"},
            ("public/app",),
        ),
        (
            {
                "vite.config.ts": "x = {root: path.resolve(__dirname, 'client'),"
                " build: {outDir: path.resolve(import.meta.dirname, 'dist/public')}}"
            },
            ("dist/public",),
        ),
        ({"vite.config.ts": "export default {build: {outDir: process.env.OUT}}"}, ()),
        ({"vite.config.ts": "export default {build: {outDir: '../../elsewhere'}}"}, ()),
    ],
)
def test_the_artefact_of_vite_is_read_from_its_configuration(
    plan: Planner, files: dict[str, Any], expected: tuple[str, ...]
) -> None:
    manifest = {"scripts": {"build": "vite build"}, "devDependencies": {"vite": "5"}}
    (build,) = plan({"package.json": manifest, "index.html": "<html>", **files}).builds
    assert build.artefacts == expected


@pytest.mark.parametrize(
    ("script", "files", "expected"),
    [
        ("esbuild src/a.ts --bundle --outdir=dist", {}, ("dist",)),
        ("esbuild src/a.ts --outfile out/a.js", {}, ("out/a.js",)),
        ("tsup src/a.ts", {}, ("dist",)),
        ("tsup", {"tsup.config.ts": "export default { outDir: 'lib' }"}, ("lib",)),
        ("react-scripts build", {}, ("build",)),
        ("astro build", {}, ("dist",)),
        ("tsc", {"tsconfig.json": '{"compilerOptions": {"outDir": "out"}}'}, ("out",)),
        ("tsc", {"tsconfig.json": '{"compilerOptions": {"noEmit": true, "outDir": "x"}}'}, ()),
        ("make", {}, ()),
    ],
)
def test_the_artefact_of_other_builders(
    plan: Planner, script: str, files: dict[str, Any], expected: tuple[str, ...]
) -> None:
    (build,) = plan({"package.json": {"scripts": {"build": script}}, **files}).builds
    assert build.artefacts == expected


def test_next_without_a_build_script_is_built_by_next(plan: Planner) -> None:
    (build,) = plan({"package.json": {"dependencies": {"next": "15"}}}).builds
    assert build.argv == ("next", "build")
    assert build.artefacts == (".next",)


def suites(found: Plan) -> list[tuple[TestRunner, tuple[str, ...], str]]:
    return [(suite.runner, suite.argv, suite.cwd) for suite in found.tests]


@pytest.mark.parametrize(
    ("script", "runner", "argv"),
    [
        ("vitest", TestRunner.VITEST, ("vitest", "run")),
        ("vitest run --coverage", TestRunner.VITEST, ("vitest", "run", "--coverage")),
        ("jest --watch", TestRunner.JEST, ("jest",)),
        ("cross-env NODE_ENV=test jest -i", TestRunner.JEST, ("jest", "-i")),
        ("NODE_OPTIONS=--experimental-vm-modules npx jest", TestRunner.JEST, ("jest",)),
        ("mocha 'test/**/*.js'", TestRunner.MOCHA, ("mocha", "test/**/*.js")),
        ("node --test", TestRunner.NODE, ("node", "--test")),
        ("tsx --test src/a.test.ts", TestRunner.NODE, ("tsx", "--test", "src/a.test.ts")),
        ("bun test", TestRunner.BUN, ("bun", "test")),
        ("react-scripts test", TestRunner.JEST, ("react-scripts", "test", "--watchAll=false")),
        ("npm run lint && npm run unit", TestRunner.VITEST, ("vitest", "run")),
        ("prisma migrate deploy && vitest run", TestRunner.VITEST, ("npm", "run", "test")),
        ("ava", TestRunner.COMMAND, ("npm", "run", "test")),
    ],
)
def test_a_test_script_that_is_only_a_runner_is_called_directly(
    plan: Planner, script: str, runner: TestRunner, argv: tuple[str, ...]
) -> None:
    scripts = {"test": script, "unit": "vitest run", "lint": "eslint ."}
    found = plan({"package.json": {"scripts": scripts}, "src/a.test.ts": "test('a')"})
    assert suites(found) == [(runner, argv, ".")]
    assert found.tests[0].files == ("src/a.test.ts",)


def test_files_that_the_shell_would_find_are_named(plan: Planner) -> None:
    script = "node --import tsx --test test/*.test.ts 'other/*.ts'"
    found = plan(
        {
            "package.json": {"scripts": {"test": script}},
            "test/a.test.ts": "x",
            "test/b.test.ts": "x",
            "test/deep/c.test.ts": "x",
        }
    )
    files = ("test/a.test.ts", "test/b.test.ts", "other/*.ts")
    argv = ("node", "--import", "tsx", "--test", *files)
    assert suites(found) == [(TestRunner.NODE, argv, ".")]


def test_assignments_before_a_runner_become_its_environment(plan: Planner) -> None:
    found = plan({"package.json": {"scripts": {"test": "TZ=UTC cross-env A=1 jest"}}})
    assert found.tests[0].env == {"TZ": "UTC", "A": "1"}


def test_the_placeholder_of_npm_is_no_suite(plan: Planner) -> None:
    script = 'echo "Error: no test specified" && exit 1'
    assert plan({"package.json": {"scripts": {"test": script}}}).tests == ()


@pytest.mark.parametrize("script", ["playwright test", "cypress run", "npx playwright test"])
def test_browser_tests_are_no_unit_tests(plan: Planner, script: str) -> None:
    found = plan(
        {
            "package.json": {"scripts": {"test": script}},
            "tests/a.spec.ts": "import { test } from '@playwright/test'",
        }
    )
    assert found.tests == ()
    assert any("browser tests" in note for note in found.notes)


def test_only_the_unit_part_of_a_mixed_script_is_run(plan: Planner) -> None:
    scripts = {"test": "vitest run && npm run e2e", "e2e": "playwright install && playwright test"}
    found = plan(
        {
            "package.json": {"scripts": scripts},
            "tests/a.spec.ts": "import { test } from '@playwright/test'",
            "src/a.spec.ts": "import { test } from 'vitest'",
        }
    )
    assert suites(found) == [(TestRunner.VITEST, ("vitest", "run"), ".")]
    assert found.tests[0].files == ("src/a.spec.ts",)


@pytest.mark.parametrize(
    ("dependencies", "text", "runner"),
    [
        ({"vitest": "2"}, "", TestRunner.VITEST),
        ({"jest": "29"}, "", TestRunner.JEST),
        ({"@types/bun": "1"}, "", TestRunner.BUN),
        ({}, "import { test } from 'node:test'", TestRunner.NODE),
        ({}, "import { test } from 'bun:test'", TestRunner.BUN),
    ],
)
def test_files_without_a_script_are_run_by_what_the_project_has(
    plan: Planner, dependencies: dict[str, str], text: str, runner: TestRunner
) -> None:
    found = plan({"package.json": {"devDependencies": dependencies}, "src/a.test.ts": text})
    assert [suite.runner for suite in found.tests] == [runner]


def test_files_that_nothing_runs_are_worth_a_note(plan: Planner) -> None:
    found = plan({"package.json": {"name": "a"}, "src/a.test.js": "test()"})
    assert found.tests == ()
    assert any("nothing that runs them" in note for note in found.notes)


@pytest.mark.parametrize(
    "script", ["npm test --workspaces", "pnpm -r test", "turbo test", "bun run --filter '*' test"]
)
def test_a_root_that_calls_its_members_tests_has_no_suite_of_its_own(
    plan: Planner, script: str
) -> None:
    found = plan(
        workspace(
            {"workspaces": ["a"], "scripts": {"test": script}},
            a={"name": "a", "scripts": {"test": "vitest"}},
        )
    )
    assert suites(found) == [(TestRunner.VITEST, ("vitest", "run"), "a")]


def test_scripts_that_call_each_other_in_a_circle_end(plan: Planner) -> None:
    found = plan({"package.json": {"scripts": {"test": "npm run a", "a": "npm run test"}}})
    assert len(found.tests) <= 1


def test_a_lockfile_alone_is_a_leftover(plan: Planner) -> None:
    found = plan({"package-lock.json": "{}", "index.html": "<html>"})
    assert found.packages == ()
    assert any("lockfile without a package.json" in note for note in found.notes)


def test_a_helper_project_that_nothing_names_is_no_part_of_the_app(plan: Planner) -> None:
    found = plan(workspace({"scripts": {"start": "node a.js"}}, tools__seed={"name": "seed"}))
    assert [package.path for package in found.packages] == ["."]
    assert any("tools/seed/package.json" in note for note in found.notes)

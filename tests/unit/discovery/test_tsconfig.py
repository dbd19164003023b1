from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.model.plan import Plan, TypecheckTool

Planner = Callable[[dict[str, Any]], Plan]
TS = {"devDependencies": {"typescript": "~5.7.2"}}


def checks(found: Plan) -> list[tuple[tuple[str, ...], str, str | None]]:
    return [(step.argv, step.cwd, step.config) for step in found.typechecks]


def test_a_plain_configuration_is_checked_without_emitting(plan: Planner) -> None:
    found = plan({"package.json": TS, "tsconfig.json": "{}", "src/a.ts": "x"})
    assert checks(found) == [(("tsc", "--noEmit", "-p", "tsconfig.json"), ".", "tsconfig.json")]
    assert found.typechecks[0].tool is TypecheckTool.TSC
    assert found.typechecks[0].source == "tsconfig.json"


def test_a_solution_is_replaced_by_what_it_refers_to(plan: Planner) -> None:
    found = plan(
        {
            "package.json": TS,
            "tsconfig.json": '{"files": [], "references": [{"path": "./tsconfig.app.json"}, {"path": "node"}]}',
            "tsconfig.app.json": '{/* the app */ "include": ["src"],}',
            "node/tsconfig.json": {"include": ["."]},
            "node/a.ts": "x",
            "src/main.tsx": "x",
        }
    )
    assert [config for _, _, config in checks(found)] == ["tsconfig.app.json", "node/tsconfig.json"]


@pytest.mark.parametrize(
    "config",
    [
        {"files": []},
        {"include": ["nothing/**/*"]},
        {"include": ["src"], "exclude": ["src/**/*"]},
        {"include": ["../outside"]},
    ],
)
def test_a_configuration_that_covers_nothing_is_left_out(
    plan: Planner, config: dict[str, Any]
) -> None:
    assert plan({"package.json": TS, "tsconfig.json": config, "src/a.ts": "x"}).typechecks == ()


def test_plain_javascript_has_no_type_check(plan: Planner) -> None:
    found = plan({"package.json": {"name": "a"}, "src/a.js": "x", "jsconfig.json": "{}"})
    assert found.typechecks == ()


def test_javascript_counts_when_the_configuration_allows_it(plan: Planner) -> None:
    options = {"compilerOptions": {"allowJs": True, "checkJs": True}}
    found = plan({"package.json": TS, "tsconfig.json": options, "src/a.js": "x"})
    assert len(found.typechecks) == 1


def test_extended_files_lend_their_scope_and_are_no_checks(plan: Planner) -> None:
    found = plan(
        {
            "package.json": TS,
            "tsconfig.base.json": {"include": ["lib"]},
            "tsconfig.json": {"extends": "./tsconfig.base.json"},
            "lib/a.ts": "x",
        }
    )
    assert [config for _, _, config in checks(found)] == ["tsconfig.json"]


def test_references_and_extends_in_a_circle_end(plan: Planner) -> None:
    found = plan(
        {
            "package.json": TS,
            "tsconfig.json": {
                "files": [],
                "extends": "./b.json",
                "references": [{"path": "b.json"}],
            },
            "b.json": {"extends": "./tsconfig.json", "references": [{"path": "tsconfig.json"}]},
            "src/a.ts": "x",
        }
    )
    assert found.errors == ()


def test_projects_that_refer_to_composite_ones_are_checked_in_build_mode(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"devDependencies": {"typescript": "5.8.2"}},
            "tsconfig.json": {"include": ["src"], "references": [{"path": "lib"}]},
            "lib/tsconfig.json": {"compilerOptions": {"composite": True}},
            "lib/a.ts": "x",
            "src/a.ts": "x",
        }
    )
    assert [argv for argv, _, _ in checks(found)] == [("tsc", "-b", "--noEmit", "tsconfig.json")]


@pytest.mark.parametrize(
    ("scripts", "source", "argvs"),
    [
        ({"typecheck": "tsc --noEmit"}, "typecheck", [("tsc", "--noEmit", "-p", "tsconfig.json")]),
        ({"check": "tsc"}, "check", [("tsc", "--noEmit", "-p", "tsconfig.json")]),
        ({"type-check": "tsc -b"}, "type-check", [("tsc", "--noEmit", "-p", "tsconfig.json")]),
        (
            {"typecheck": "tsc -b tsconfig.server.json && npm run types:client",
             "types:client": "tsc -p tsconfig.client.json --noEmit"},
            "typecheck",
            [("tsc", "--noEmit", "-p", "tsconfig.server.json"),
             ("tsc", "--noEmit", "-p", "tsconfig.client.json")],
        ),
        ({"types": "vue-tsc --noEmit"}, "types", [("vue-tsc", "--noEmit", "-p", "tsconfig.json")]),
    ],
)  # fmt: skip
def test_the_projects_own_script_names_the_configurations(
    plan: Planner, scripts: dict[str, str], source: str, argvs: list[tuple[str, ...]]
) -> None:
    found = plan(
        {
            "package.json": {**TS, "scripts": scripts},
            "tsconfig.json": {"include": ["src"]},
            "tsconfig.server.json": {"include": ["server"]},
            "tsconfig.client.json": {"include": ["client"]},
            "src/a.ts": "x",
            "server/a.ts": "x",
            "client/a.ts": "x",
        }
    )
    assert [argv for argv, _, _ in checks(found)] == argvs
    assert {step.source for step in found.typechecks} == {f"package.json:scripts.{source}"}


@pytest.mark.parametrize("script", ["eslint . && tsc", "biome check", "tsc --watch", "next lint"])
def test_a_check_script_with_other_tools_does_not_tell_the_form(plan: Planner, script: str) -> None:
    found = plan(
        {"package.json": {**TS, "scripts": {"check": script}}, "tsconfig.json": "{}", "a.ts": "x"}
    )
    assert found.typechecks[0].source == "tsconfig.json"


def test_svelte_and_astro_have_their_own_checkers(plan: Planner) -> None:
    svelte = plan(
        {
            "package.json": {
                "scripts": {"check": "svelte-kit sync && svelte-check --tsconfig ./tsconfig.json"},
                "devDependencies": {"svelte-check": "4"},
            },
            "tsconfig.json": {"extends": "./.svelte-kit/tsconfig.json"},
            "src/routes/+page.svelte": "<p>",
        }
    )
    assert checks(svelte) == [
        (("svelte-check", "--tsconfig", "./tsconfig.json"), ".", "tsconfig.json")
    ]
    assert svelte.typechecks[0].source == "package.json:scripts.check"


def test_astro_is_checked_by_astro(plan: Planner) -> None:
    astro = plan(
        {
            "package.json": {"dependencies": {"astro": "5", "@astrojs/check": "1"}},
            "tsconfig.json": {"extends": "astro/tsconfigs/strict"},
            "src/a.ts": "x",
        }
    )
    assert [argv for argv, _, _ in checks(astro)] == [("astro", "check")]


def test_every_member_of_a_workspace_is_checked_in_its_own_folder(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"workspaces": ["client", "server"]},
            "client/package.json": TS,
            "client/tsconfig.json": {"include": ["src"]},
            "client/src/a.tsx": "x",
            "server/package.json": TS,
            "server/tsconfig.json": {},
            "server/src/a.ts": "x",
        }
    )
    assert [(argv[-1], cwd) for argv, cwd, _ in checks(found)] == [
        ("tsconfig.json", "client"),
        ("tsconfig.json", "server"),
    ]


def test_a_broken_configuration_is_an_error_of_its_line(plan: Planner) -> None:
    found = plan({"package.json": TS, "tsconfig.json": '{\n"files": [\n}', "a.ts": "x"})
    assert any(error.startswith("tsconfig.json:3:") for error in found.errors)

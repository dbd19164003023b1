"""The hooks do what their documentation says, in the words of its examples."""

from __future__ import annotations

import inspect
import json
import textwrap

import pytest

from pytest_dora.plugin import hookspecs
from tests.acceptance.plugin.project import Project


def example(name: str) -> str:
    """The code in a hook's docstring: what stands indented behind ``::``."""
    text = inspect.getdoc(getattr(hookspecs, name)) or ""
    return textwrap.dedent(text.partition("\n::\n")[2])


@pytest.mark.parametrize(
    "name", [name for name in dir(hookspecs) if name.startswith("pytest_dora_")]
)
def test_every_hook_has_an_example_that_implements_it(name: str) -> None:
    assert f"\ndef {name}(" in "\n" + example(name)


def test_the_examples_work(project: Project) -> None:
    folder = project.app("shop")
    (folder / "index.html").unlink()
    (folder / "Makefile").write_text("serve:\n\ttrue\n")
    project.app("blog")
    (project.root / "apps/blog/LICENSE").write_text("free")
    names = [name for name in dir(hookspecs) if name.startswith("pytest_dora_")]
    (project.root / "conftest.py").write_text("\n".join(map(example, names)))
    ran = project.run("apps", "--dora-check", "licence", "-s")
    assert ran.status == 1, ran.text
    assert ran.outcomes == {"blog": {"licence": "passed"}, "shop": {"licence": "failed"}}
    assert "shop licence: failed" in ran.text
    (levels,) = (project.root / ".dora/runs").glob("*/levels.csv")
    assert levels.read_text() == "app,level\nblog,none\nshop,none\n"
    (app,) = [one for one in ran.report["apps"] if one["app_id"] == "shop"]
    assert app["stack"] == ["make"]


def test_finished_checks_are_told_in_the_users_process(project: Project) -> None:
    project.app("shop")
    with (project.root / "conftest.py").open("a") as conftest:
        conftest.write(
            "def pytest_dora_check_finished(result):\n"
            "    with open('told', 'a') as file:\n"
            "        print(os.getpid(), result.check_id, file=file)\n"
        )
    project.run("apps", "--dora-check", "alpha,beta,gamma", "-n", "2")
    told = [line.split() for line in (project.root / "told").read_text().splitlines()]
    assert [check for _, check in told] == ["alpha", "beta", "gamma"]
    assert len({process for process, _ in told}) == 1
    assert told[0][0] not in {process for _, _, process, _ in project.asked}


@pytest.mark.parametrize(
    ("name", "message"),
    [("lpha", "one must not be a part of the other"), ("No!", "small letters"),
     ("build", "one must not be a part of the other")],
)  # fmt: skip
def test_ids_that_would_be_confused_are_refused(project: Project, name: str, message: str) -> None:
    project.app("shop")
    conftest = project.root / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"gamma"', repr(name)))
    ran = project.run("apps")
    assert ran.status == 4, ran.text
    assert message in ran.text


def test_settings_come_from_command_line_environment_and_project(project: Project) -> None:
    project.app("shop")
    (project.root / "pyproject.toml").write_text(
        "[tool.pytest-dora]\nprofile = 'smoke'\nkeep = 'all'\ncheck = ['alpha', 'beta']\n"
        "work = 'w'\n[tool.pytest-dora.limits]\nsoak_seconds = 0.5\n"
    )
    project.env = {"PYTEST_DORA_KEEP": "failed", "PYTEST_DORA_CHECK": "alpha"}
    ran = project.run("apps", "--dora-check", "gamma")
    settings = ran.report["settings"]
    assert ran.outcomes == {"shop": {"gamma": "passed"}}
    assert (settings["profile"], settings["keep"]) == ("smoke", "failed")
    assert settings["limits"]["soak_seconds"] == 0.5
    assert settings["work"] == str(project.root / "w")


@pytest.mark.parametrize(
    ("env", "table", "message"),
    [
        ({"PYTEST_DORA_GATE": "gold"}, "", "--dora-gate (environment variable PYTEST_DORA_GATE): 'gold'"),
        ({}, "gate = 'gold'", "pyproject.toml, [tool.pytest-dora] gate): 'gold' is not one of"),
        ({}, "gates = 'gold'", "unknown key 'gates' in [tool.pytest-dora]; did you mean 'gate'?"),
        ({}, "strict = 'perhaps'", "'perhaps' is not true or false"),
        ({}, "limits = {soak = 1}", "limits"),
    ],
)  # fmt: skip
def test_a_bad_value_is_told_with_its_place(
    project: Project, env: dict[str, str], table: str, message: str
) -> None:
    project.app("shop")
    (project.root / "pyproject.toml").write_text(f"[tool.pytest-dora]\n{table}\n")
    project.env = env
    ran = project.run("apps")
    assert ran.status == 4, ran.text
    assert message in ran.text


def test_what_generated_the_apps_is_found_beside_them(project: Project) -> None:
    project.app("shop")
    (project.root / "apps/bulk_run_results_20260101_120000.json").write_text(json.dumps([
        {"prompt": "a shop", "success": True, "app_dir": "shop", "metrics": {"cost_usd": 0.5}},
        {"prompt": "a blog", "success": False, "error": "no tokens"},
    ]))  # fmt: skip
    ran = project.run("apps", "--dora-check", "alpha")
    assert ran.status == 0, ran.text
    assert "1 app (and 1 failed generation)" in ran.text
    by_id = {app["app_id"]: app for app in ran.report["apps"]}
    assert by_id["shop"]["generation"]["cost_usd"] == 0.5
    assert len(by_id) == 2

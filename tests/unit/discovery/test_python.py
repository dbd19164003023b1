from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.model.plan import Manager, Plan, TestRunner, TypecheckTool

Planner = Callable[[dict[str, Any]], Plan]
FASTAPI = "from fastapi import FastAPI\n\napp = FastAPI()\n"
FLASK = "from flask import Flask\n\napp = Flask(__name__)\n"
BACKEND = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


def pyproject(*, backend: bool = False, extra: str = "") -> str:
    head = '[project]\nname = "shop"\nrequires-python = ">=3.11"\ndependencies = ["fastapi", "uvicorn"]\n'
    return head + (BACKEND if backend else "") + extra


def starts(found: Plan) -> list[tuple[str, ...]]:
    return [start.processes[0].argv for start in found.starts]


def test_requirements_are_installed_by_pip_with_their_development_twin(plan: Planner) -> None:
    found = plan(
        {"requirements.txt": "flask\n", "requirements-dev.txt": "pytest\n", "app.py": FLASK}
    )
    (package,) = found.packages
    assert package.manager is Manager.PIP
    assert package.manifests == ("requirements.txt", "requirements-dev.txt")
    assert package.lockfile is None
    assert not package.installs_project


def test_a_uv_lock_decides_for_uv(plan: Planner) -> None:
    text = pyproject(extra='[dependency-groups]\ndev = ["pytest"]\nlint = ["ruff"]\ndocs = ["x"]\n')
    found = plan({"pyproject.toml": text, "uv.lock": "version = 1", "requirements.txt": "a\n"})
    (package,) = found.packages
    assert (package.manager, package.lockfile) == (Manager.UV, "uv.lock")
    assert package.groups == ("dev", "lint")
    assert package.runtime_requires == ">=3.11"
    assert package.manifests == ("pyproject.toml",)


@pytest.mark.parametrize(
    ("text", "installs"),
    [
        (pyproject(), False),
        (pyproject(backend=True), True),
        (pyproject(backend=True, extra="[tool.uv]\npackage = false\n"), False),
    ],
)
def test_only_a_build_backend_makes_the_folder_installable(
    plan: Planner, text: str, installs: bool
) -> None:
    (package,) = plan({"pyproject.toml": text, "main.py": FASTAPI}).packages
    assert package.installs_project is installs
    assert package.manifests == ("pyproject.toml",)


def test_poetry_is_recognised_with_and_without_a_lock(plan: Planner) -> None:
    text = (
        '[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\npython = "^3.10"\nfastapi = "*"\n'
        '[tool.poetry.group.dev.dependencies]\nmypy = "*"\n[tool.poetry.dev-dependencies]\npytest = "*"\n'
    )
    (package,) = plan({"pyproject.toml": text, "app.py": FASTAPI}).packages
    assert (package.manager, package.lockfile) == (Manager.POETRY, None)
    assert package.groups == ("dev",)
    assert package.runtime_requires == "^3.10"
    (package,) = plan({"pyproject.toml": text, "poetry.lock": ""}).packages
    assert package.lockfile == "poetry.lock"


def test_a_pipfile_is_worth_a_note(plan: Planner) -> None:
    found = plan(
        {
            "Pipfile": '[packages]\nflask = "*"\n[requires]\npython_version = "3.11"\n',
            "app.py": FLASK,
        }
    )
    assert found.packages[0].runtime_requires == "3.11"
    assert found.packages[0].extra_requirements == ("flask",)
    assert any("Pipfile" in note for note in found.notes)


def test_a_pyproject_that_only_configures_tools_is_no_package(plan: Planner) -> None:
    found = plan({"pyproject.toml": "[tool.ruff]\nline-length = 100\n", "index.html": "<p>"})
    assert found.packages == ()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({".python-version": "3.12.4\n"}, "3.12.4"),
        ({"runtime.txt": "python-3.11.9"}, "3.11.9"),
        ({"Dockerfile": "FROM python:3.12-slim\nCMD python app.py\n"}, "3.12"),
        ({}, None),
    ],
)
def test_the_interpreter_is_what_a_file_pins_else_what_the_image_has(
    plan: Planner, files: dict[str, Any], expected: str | None
) -> None:
    (package,) = plan({"requirements.txt": "flask", "app.py": FLASK, **files}).packages
    assert package.runtime_requires == expected


def test_requirements_that_only_the_image_names_are_kept(plan: Planner) -> None:
    dockerfile = (
        "FROM python:3\nRUN pip install uv && pip install --no-cache-dir -r requirements.txt\n"
        "RUN pip install gunicorn 'psycopg[binary]>=3' -i https://index.example\nCMD python app.py\n"
    )
    (package,) = plan(
        {"requirements.txt": "flask", "app.py": FLASK, "Dockerfile": dockerfile}
    ).packages
    assert package.extra_requirements == ("gunicorn", "psycopg[binary]>=3")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"main.py": FASTAPI}, ("uvicorn", "main:app")),
        ({"app/main.py": FASTAPI, "app/__init__.py": ""}, ("uvicorn", "app.main:app")),
        ({"src/main.py": FASTAPI}, ("uvicorn", "--app-dir", "src", "main:app")),
        ({"src/shop/api.py": FASTAPI, "src/shop/__init__.py": ""}, ("uvicorn", "--app-dir", "src", "shop.api:app")),
        ({"server.py": FASTAPI.replace("app =", "api: FastAPI =")}, ("uvicorn", "server:api")),
        (
            {"main.py": "from fastapi import FastAPI\ndef create_app():\n    return FastAPI()\n"},
            ("uvicorn", "--factory", "main:create_app"),
        ),
        ({"app/main.py": FASTAPI, "app/old_main.py": FASTAPI, "app/db.py": ""}, ("uvicorn", "--app-dir", "app", "main:app")),
        ({"app/main.py": "from app.db import x\n" + FASTAPI, "app/db.py": ""}, ("uvicorn", "app.main:app")),
    ],
)  # fmt: skip
def test_asgi_apps_are_served_by_uvicorn(
    plan: Planner, files: dict[str, Any], expected: tuple[str, ...]
) -> None:
    found = plan({"requirements.txt": "fastapi\nuvicorn\n", **files})
    assert starts(found)[0] == (*expected, "--host", "127.0.0.1", "--port", "{port}")


STREAMLIT = "import streamlit as st\nst.title('x')\n"
NICEGUI = "from nicegui import ui\nui.label('x')\nui.run(port=8080)\n"
GRADIO = "import gradio as gr\ndemo = gr.Blocks()\nif __name__ == '__main__':\n    demo.launch()\n"
DASH = "from dash import Dash\napp = Dash(__name__)\nserver = app.server\nif __name__ == '__main__':\n    app.run()\n"


@pytest.mark.parametrize(
    ("requirements", "name", "text", "expected"),
    [
        ("streamlit", "streamlit_app.py", STREAMLIT, ("streamlit", "run", "streamlit_app.py", "--server.port", "{port}", "--server.headless", "true", "--server.address", "127.0.0.1")),
        ("nicegui", "main.py", NICEGUI, ("python", "main.py")),
        ("gradio", "app.py", GRADIO, ("python", "app.py")),
        ("dash", "index.py", DASH, ("python", "index.py")),
        ("flask", "app.py", FLASK, ("flask", "--app", "app.py", "run", "--host", "127.0.0.1", "--port", "{port}")),
        ("flask\ngunicorn", "wsgi.py", FLASK, ("gunicorn", "--bind", "127.0.0.1:{port}", "wsgi:app")),
        ("flask", "app.py", FLASK + "if __name__ == '__main__':\n    app.run(port=5000)\n", ("python", "app.py")),
        ("shiny", "app.py", "from shiny import App\napp = App(ui, server)\n", ("shiny", "run", "--host", "127.0.0.1", "--port", "{port}", "app.py:app")),
        ("requests", "main.py", "print('x')\n", ("python", "main.py")),
    ],
)  # fmt: skip
def test_each_framework_has_its_rule(
    plan: Planner, requirements: str, name: str, text: str, expected: tuple[str, ...]
) -> None:
    found = plan({"requirements.txt": requirements, name: text})
    assert starts(found)[0] == expected


def test_django_is_served_checked_and_tested_by_its_own_script(plan: Planner) -> None:
    found = plan(
        {
            "requirements.txt": "Django>=5\n",
            "manage.py": "import os\nfrom django.core.management import execute_from_command_line\n",
            "shop/tests.py": "from django.test import TestCase\nclass T(TestCase):\n    def test_a(self): ...\n",
            "shop/settings.py": "",
        }
    )
    argv = ("python", "manage.py", "runserver", "--noreload", "127.0.0.1:{port}")
    assert starts(found)[0] == argv
    assert [step.tool for step in found.typechecks] == [TypecheckTool.DJANGO_CHECK]
    (suite,) = found.tests
    assert (suite.runner, suite.argv) == (TestRunner.DJANGO, ("python", "manage.py", "test"))
    assert suite.files == ("shop/tests.py",)


def test_an_older_copy_of_the_app_is_not_tried_first(plan: Planner) -> None:
    found = plan(
        {"requirements.txt": "streamlit", "app_old.py": STREAMLIT, "dashboard.py": STREAMLIT}
    )
    assert starts(found)[0][2] == "dashboard.py"


def test_pages_of_a_streamlit_app_are_no_entries(plan: Planner) -> None:
    found = plan(
        {"requirements.txt": "streamlit", "Home.py": STREAMLIT, "pages/1_Data.py": STREAMLIT}
    )
    assert [argv[2] for argv in starts(found)] == ["Home.py"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"main.py": FASTAPI}, [("main", ".")]),
        ({"main.py": NICEGUI.replace("ui.label", "import pages\nui.label"), "pages.py": ""}, [("pages", ".")]),
        ({"main.py": NICEGUI}, []),
        ({"app.py": DASH}, [("app", ".")]),
        ({"app.py": STREAMLIT}, []),
        ({"app/main.py": FASTAPI, "app/__init__.py": "", "Procfile": "web: uvicorn app.main:app"}, [("app.main", ".")]),
        ({"api.py": FASTAPI, "wsgi.py": "from api import app", "Procfile": "web: gunicorn wsgi:app"}, [("wsgi", ".")]),
        ({"x/run.py": DASH, "Procfile": "web: cd x && python run.py"}, [("run", "x")]),
    ],
)  # fmt: skip
def test_the_entry_module_is_the_one_that_the_start_command_loads(
    plan: Planner, files: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    found = plan({"requirements.txt": "uvicorn\n", **files})
    assert [(entry.module, entry.cwd) for entry in found.entry_modules] == expected


def test_console_scripts_start_an_installed_project(plan: Planner) -> None:
    extra = '[project.scripts]\nstart-server = "shop.cli:main"\nseed = "shop.seed:main"\n'
    found = plan(
        {
            "pyproject.toml": pyproject(backend=True, extra=extra),
            "uv.lock": "",
            "shop/__init__.py": "",
            "shop/cli.py": "def main(): ...",
        }
    )
    assert starts(found)[0] == ("uv", "run", "start-server")
    assert [entry.module for entry in found.entry_modules] == ["shop.cli"]


@pytest.mark.parametrize(
    ("files", "tools"),
    [
        ({}, []),
        ({"pyrightconfig.json": "{}"}, [TypecheckTool.PYRIGHT]),
        ({"mypy.ini": "[mypy]\n"}, [TypecheckTool.MYPY]),
        ({"setup.cfg": "[mypy]\nstrict = true\n"}, [TypecheckTool.MYPY]),
        ({"setup.cfg": "[flake8]\nmax-line-length = 100\n"}, []),
        ({"pyproject.toml": pyproject(extra="[tool.pyright]\n[tool.ty]\n")}, [TypecheckTool.PYRIGHT, TypecheckTool.TY]),
        ({"pyproject.toml": pyproject(extra='[dependency-groups]\ndev = ["mypy>=1"]\n')}, [TypecheckTool.MYPY]),
    ],
)  # fmt: skip
def test_only_configured_or_required_checkers_are_run(
    plan: Planner, files: dict[str, Any], tools: list[TypecheckTool]
) -> None:
    found = plan({"requirements.txt": "fastapi", "main.py": FASTAPI, **files})
    assert [step.tool for step in found.typechecks] == tools


def test_mypy_checks_what_the_projects_script_checks(plan: Planner) -> None:
    found = plan(
        {
            "pyproject.toml": pyproject(extra="[tool.mypy]\nstrict = true\n"),
            "scripts/lint.sh": "#!/bin/sh\nset -e\nmypy app\nruff check app\n",
        }
    )
    assert found.typechecks[0].argv == ("mypy", "app")


PYTEST = "def test_a():\n    assert True\n"
UNITTEST = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): ...\n"


@pytest.mark.parametrize(
    ("files", "runner", "argv"),
    [
        ({"tests/test_a.py": PYTEST}, TestRunner.PYTEST, ("python", "-m", "pytest")),
        ({"test_a.py": UNITTEST, "pytest.ini": "[pytest]\n"}, TestRunner.PYTEST, ("python", "-m", "pytest")),
        ({"tests.py": UNITTEST}, TestRunner.UNITTEST, ("python", "-m", "unittest", "tests")),
        ({"tests/test_a.py": UNITTEST}, TestRunner.UNITTEST, ("python", "-m", "unittest", "discover")),
        ({"test_a.py": UNITTEST, "requirements-dev.txt": "pytest"}, TestRunner.PYTEST, ("python", "-m", "pytest")),
    ],
)  # fmt: skip
def test_the_runner_is_what_the_project_uses(
    plan: Planner, files: dict[str, Any], runner: TestRunner, argv: tuple[str, ...]
) -> None:
    (suite,) = plan({"requirements.txt": "flask", "app.py": FLASK, **files}).tests
    assert (suite.runner, suite.argv) == (runner, argv)


@pytest.mark.parametrize(
    "files",
    [
        {"tests/test_a.py": "# nothing yet\n"},
        {"tests/__init__.py": ""},
        {"pytest.ini": "[pytest]\n"},
        {"tests/test_e2e.py": "from playwright.sync_api import Page\ndef test_a(page): ...\n"},
    ],
)
def test_no_test_is_no_suite(plan: Planner, files: dict[str, Any]) -> None:
    assert plan({"requirements.txt": "flask\npytest", "app.py": FLASK, **files}).tests == ()


def test_requirements_that_include_each_other_end(plan: Planner) -> None:
    found = plan(
        {"requirements.txt": "-r other.txt\nfastapi", "other.txt": "-r requirements.txt\nuvicorn",
         "main.py": FASTAPI}
    )  # fmt: skip
    assert starts(found)[0][0] == "uvicorn"

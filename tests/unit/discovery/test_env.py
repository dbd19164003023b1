from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.model.plan import EnvVar, Plan

Planner = Callable[[dict[str, Any]], Plan]
PYTHON = {"requirements.txt": "fastapi\n"}
NODE = {"package.json": {"dependencies": {"express": "4"}}}


def variables(found: Plan) -> dict[str, EnvVar]:
    return {one.name: one for one in found.env}


@pytest.mark.parametrize(
    ("line", "name", "value", "required"),
    [
        ('A = os.environ["KEY_A"]', "KEY_A", None, True),
        ('a = os.environ.get("KEY_A")', "KEY_A", None, False),
        ('a = os.environ.get("KEY_A", "x")', "KEY_A", "x", False),
        ("a = os.getenv('KEY_A', 'x')", "KEY_A", "x", False),
        ("a = os.getenv('KEY_A') or 'x'", "KEY_A", "x", False),
        ("a = int(os.environ.get('KEY_A', 8000))", "KEY_A", "8000", False),
        ("a = int(os.environ.get('KEY_A') or 25)", "KEY_A", "25", False),
        ("assert os.getenv('KEY_A'), 'needed'", "KEY_A", None, True),
        ("a = environ['KEY_A']", "KEY_A", None, True),
        ("os.environ['KEY_A'] = 'x'", None, None, False),
        ("# os.environ['KEY_A']", None, None, False),
        ("os.environ.setdefault('KEY_A', 'x')", "KEY_A", "x", False),
        ("a = os.environ.get(\n    'KEY_A', 'x')", "KEY_A", "x", False),
        ("a = config('KEY_A', default='x')", "KEY_A", "x", False),
        ("a = config('KEY_A')", "KEY_A", None, True),
        ("a = env.str('KEY_A')", "KEY_A", None, True),
        ("del os.environ['KEY_A']", "KEY_A", None, False),
    ],
)
def test_python_reads(
    plan: Planner, line: str, name: str | None, value: str | None, required: bool
) -> None:
    found = plan({**PYTHON, "main.py": f"import os\n{line}\n"})
    assert [(one.name, one.value, one.required) for one in found.env] == (
        [(name, value, required)] if name else []
    )


@pytest.mark.parametrize(
    ("line", "name", "value", "required"),
    [
        ("const a = process.env.KEY_A", "KEY_A", None, False),
        ("const a = process.env.KEY_A!", "KEY_A", None, True),
        ("if (process.env.KEY_A !== 'x') {}", "KEY_A", None, False),
        ("const a = process.env['KEY_A']!", "KEY_A", None, True),
        ("const a = process.env.KEY_A || 'x'", "KEY_A", "x", False),
        ("const a = process.env.KEY_A ?? `x`", "KEY_A", "x", False),
        ("const a = Number(process.env.KEY_A) || 3000", "KEY_A", "3000", False),
        ("const a = process.env.KEY_A || `${x}`", "KEY_A", None, False),
        ("process.env.KEY_A = 'x'", None, None, False),
        ("if (process.env.KEY_A == 'x') {}", "KEY_A", None, False),
        ("const { KEY_A = 'x' } = process.env", "KEY_A", "x", False),
        ("const a = Bun.env.KEY_A", "KEY_A", None, False),
        ("const a = import.meta.env.VITE_A", "VITE_A", None, False),
        ("// process.env.KEY_A!", None, None, False),
        ("const E = z.object({\n  KEY_A: z.string(),\n}).parse(process.env)", "KEY_A", None, True),
        ("const E = z.object({\n  KEY_A: z.string().default('x'),\n}).parse(process.env)", "KEY_A", "x", False),
    ],
)  # fmt: skip
def test_javascript_reads(
    plan: Planner, line: str, name: str | None, value: str | None, required: bool
) -> None:
    found = plan({**NODE, "src/index.ts": f"{line}\n"})
    assert [(one.name, one.value, one.required) for one in found.env] == (
        [(name, value, required)] if name else []
    )


def test_go_and_php_reads(plan: Planner) -> None:
    go = plan({"go.mod": "module a\n", "main.go": 'package main\nx := os.Getenv("KEY_A")\n'})
    assert list(variables(go)) == ["KEY_A"]
    php = plan({"composer.json": {"require": {}}, "a.php": "<?php $x = env('KEY_A', 'x');"})
    assert variables(php)["KEY_A"].value == "x"


def test_fields_of_pydantic_settings_are_variables(plan: Planner) -> None:
    settings = """
        from pydantic_settings import BaseSettings, SettingsConfigDict
        class Settings(BaseSettings):
            model_config = SettingsConfigDict(env_prefix="SHOP_", env_file=".env")
            database_url: str
            level: str = "info"
            workers: int = 4
            other: str = Field(..., alias="OTHER_NAME")
            made: list[str] = []
        class NotSettings(Base):
            ignored: str
    """
    found = variables(plan({**PYTHON, "config.py": settings.replace("\n        ", "\n")}))
    assert {name: (one.value, one.required) for name, one in found.items()} == {
        "SHOP_DATABASE_URL": (None, True),
        "SHOP_LEVEL": ("info", False),
        "SHOP_WORKERS": ("4", False),
        "OTHER_NAME": (None, True),
        "SHOP_MADE": (None, False),
    }


def test_what_operators_are_told_comes_first_and_the_code_completes_it(plan: Planner) -> None:
    found = variables(
        plan(
            {
                **NODE,
                ".env.example": "# all\nSESSION_SECRET=change-me\nSTRIPE_KEY=\nUNUSED=1\n",
                "src/a.ts": "process.env.STRIPE_KEY!; process.env.SESSION_SECRET!",
            }
        )
    )
    assert found["SESSION_SECRET"] == EnvVar(
        name="SESSION_SECRET",
        value="change-me",
        required=True,
        secret=True,
        source=".env.example:2",
    )
    assert found["STRIPE_KEY"].required
    assert found["STRIPE_KEY"].source == ".env.example:3"
    assert found["UNUSED"].value == "1"


def test_examples_of_the_packages_folders_count_too(plan: Planner) -> None:
    found = plan(
        {
            "backend/requirements.txt": "flask",
            "backend/.env.example": "KEY_A=1",
            "backend/app.py": "",
        }
    )
    assert variables(found)["KEY_A"].source == "backend/.env.example:1"


@pytest.mark.parametrize(
    "path",
    [
        "tests/test_a.py",
        "test_a.py",
        "docs/a.py",
        ".cursor/rules/a.py",
        "examples/a.py",
        "conftest.py",
    ],
)
def test_tests_and_documents_are_no_sources(plan: Planner, path: str) -> None:
    found = plan({**PYTHON, path: "import os\nos.environ['KEY_A']\n"})
    assert found.env == ()


def test_scripts_run_by_hand_require_nothing(plan: Planner) -> None:
    found = variables(plan({**PYTHON, "scripts/seed.py": "import os\nos.environ['KEY_A']\n"}))
    assert not found["KEY_A"].required


def test_a_default_anywhere_means_it_is_not_required(plan: Planner) -> None:
    files = {
        "a.py": "import os\nos.environ['KEY_A']\n",
        "b.py": "import os\nos.getenv('KEY_A', 'x')\n",
    }
    found = variables(plan({**PYTHON, **files}))
    assert (found["KEY_A"].required, found["KEY_A"].value) == (False, "x")


def test_the_environment_of_the_machine_is_none_of_the_apps(plan: Planner) -> None:
    found = plan({**NODE, "a.ts": "process.env.NODE_ENV; process.env.HOME; process.env.PATH"})
    assert found.env == ()

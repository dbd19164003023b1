from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.model.plan import Plan, Role, ServiceKind

Planner = Callable[[dict[str, Any]], Plan]
PYTHON = {
    "requirements.txt": "fastapi\nuvicorn\n",
    "main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
}


def test_declarations_are_tried_in_order_of_trust(plan: Planner) -> None:
    found = plan(
        {
            **PYTHON,
            "dora.toml": 'port = 7000\n[[processes]]\ncommand = "python dora.py"\n',
            "app.yaml": "command: [python, platform.py]\n",
            "Procfile": "web: python procfile.py\n",
            "Dockerfile": "FROM python\nCMD python docker.py\n",
            "docker-compose.yml": "services: {a: {build: ., command: python compose.py}}\n",
            ".replit": 'run = "python replit.py"\n[deployment]\nrun = ["python", "deploy.py"]\n',
            "railway.json": {"deploy": {"startCommand": "python railway.py"}},
            "package.json": {"scripts": {"start": "python script.py", "dev": "python dev.py"}},
        }
    )
    texts = [" ".join(start.processes[0].argv) for start in found.starts]
    assert texts[:8] == [
        "python dora.py",
        "python platform.py",
        "python procfile.py",
        "python docker.py",
        "python compose.py",
        "python deploy.py",
        "python replit.py",
        "python railway.py",
    ]
    assert found.starts[0].port == 7000
    assert texts[-1] == "npm run dev"
    assert found.starts[-1].dev_server
    assert "uvicorn main:app --host 127.0.0.1 --port {port}" in texts


def test_dora_toml_names_processes_preparations_health_and_variables(plan: Planner) -> None:
    found = plan(
        {
            **PYTHON,
            "dora.toml": """
                health = "/alive"
                env = ["API_KEY"]
                [[prepare]]
                command = "alembic upgrade head"
                [[processes]]
                name = "api"
                command = ["uvicorn", "main:app"]
                env = { LEVEL = "debug", N = 3 }
                [[processes]]
                name = "jobs"
                role = "worker"
                command = "python jobs.py"
                cwd = "tools"
                [[processes]]
                name = "broken"
            """,
        }
    )
    start = found.starts[0]
    assert [step.argv for step in start.prepare] == [("alembic", "upgrade", "head")]
    api, jobs = start.processes
    assert (api.name, api.role, api.env) == ("api", Role.WEB, {"LEVEL": "debug", "N": "3"})
    assert (jobs.role, jobs.cwd) == (Role.WORKER, "tools")
    assert found.health_paths == ("/alive",)
    assert any(one.name == "API_KEY" and one.required for one in found.env)
    assert found.errors == ("dora.toml:1: processes[2] has no command",)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ('["uvicorn", "main:app"]', ("uvicorn", "main:app", "--port", "{port}")),
        ('["uvicorn", "main:app", "--port", "9000"]', ("uvicorn", "main:app", "--port", "9000")),
        ('["uvicorn", "main:app", "--port=9000"]', ("uvicorn", "main:app", "--port=9000")),
        (
            "uvicorn main:app --port $DATABRICKS_APP_PORT",
            ("uvicorn", "main:app", "--port", "{port}"),
        ),
        (
            "[python, -m, uvicorn, 'main:app']",
            ("python", "-m", "uvicorn", "main:app", "--port", "{port}"),
        ),
        ('["sh", "-c", "uvicorn main:app"]', ("uvicorn", "main:app", "--port", "{port}")),
        ('["streamlit", "run", "main.py"]', ("streamlit", "run", "main.py")),
    ],
)
def test_the_platforms_command_gets_a_port_where_it_has_none(
    plan: Planner, command: str, expected: tuple[str, ...]
) -> None:
    found = plan({**PYTHON, "app.yaml": f"command: {command}\n"})
    assert found.starts[0].processes[0].argv == expected
    assert found.starts[0].source == "app.yaml:command"


def test_resources_of_the_platform_are_variables_without_a_value(plan: Planner) -> None:
    found = plan(
        {
            "requirements.txt": "databricks-sdk\nstreamlit",
            "app.py": "import os\nimport streamlit as st\nfrom databricks import sql\n"
            "assert os.getenv('WAREHOUSE')\nst.title('x')\n",
            "app.yaml": """
                command: ["streamlit", "run", "app.py"]
                env:
                  - name: WAREHOUSE
                    valueFrom: sql-warehouse
                  - name: LEVEL
                    value: 3
                  - name: EMPTY
                    value: ""
                  - name: "bad name"
                    value: x
                  - oops
            """,
        }
    )
    declared = {one.name: one for one in found.env}
    assert declared["WAREHOUSE"].required
    assert declared["WAREHOUSE"].value is None
    assert declared["WAREHOUSE"].source == "app.yaml:env[0]"
    assert declared["LEVEL"].value == "3"
    assert found.starts[0].processes[0].env == {"LEVEL": "3", "EMPTY": ""}
    (need,) = found.services
    assert (need.kind, need.required) == (ServiceKind.DATABRICKS, True)
    assert need.env_names == ("WAREHOUSE",)


def test_a_bundle_may_configure_the_app(plan: Planner) -> None:
    found = plan(
        {
            **PYTHON,
            "databricks.yml": "resources: {apps: {a: {source_code_path: ./, config: "
            "{command: [uvicorn, 'main:app'], env: [{name: X, value_from: y}]}}}}",
        }
    )
    assert found.starts[0].source == "databricks.yml:command"
    assert [one.name for one in found.env if one.required] == ["X"]


def test_an_app_yaml_of_something_else_is_no_start(plan: Planner) -> None:
    found = plan({**PYTHON, "app.yaml": "apiVersion: v1\nkind: Service\nspec: {ports: []}\n"})
    assert found.starts[0].source == "main.py:fastapi"


def test_a_procfile_has_preparations_workers_and_a_release(plan: Planner) -> None:
    found = plan(
        {
            **PYTHON,
            "Procfile": """
                # processes
                worker: celery -A tasks worker
                web: flask translate; pip install x && gunicorn -b 0.0.0.0:$PORT main:app
                release: python migrate.py
                clock: python clock.py
            """,
        }
    )
    start = found.starts[0]
    assert [step.argv for step in start.prepare] == [
        ("python", "migrate.py"),
        ("flask", "translate"),
    ]
    assert [(one.name, one.role) for one in start.processes] == [
        ("web", Role.WEB),
        ("worker", Role.WORKER),
        ("clock", Role.WORKER),
    ]
    assert start.processes[0].argv == ("gunicorn", "-b", "0.0.0.0:{port}", "main:app")
    assert start.processes[0].source == "Procfile:3 web"


def test_a_procfile_without_web_starts_nothing(plan: Planner) -> None:
    found = plan({**PYTHON, "Procfile": "worker: celery -A x worker\n"})
    assert found.starts[0].source == "main.py:fastapi"


def test_candidates_that_run_the_same_appear_once(plan: Planner) -> None:
    found = plan(
        {
            **PYTHON,
            "Procfile": "web: python main.py",
            "Dockerfile": "FROM python\nCMD python main.py",
        }
    )
    argvs = [start.processes[0].argv for start in found.starts]
    assert argvs.count(("python", "main.py")) == 1


@pytest.mark.parametrize(
    ("name", "content", "source"),
    [
        ("render.yaml", "services: [{type: web, startCommand: python main.py}]", "render.yaml:services[0].startCommand"),
        ("railway.toml", '[deploy]\nstartCommand = "python main.py"', "railway.toml:deploy.startCommand"),
        ("nixpacks.toml", '[start]\ncmd = "python main.py"', "nixpacks.toml:start.cmd"),
        ("fly.toml", '[processes]\napp = "python main.py"', "fly.toml:processes"),
    ],
)  # fmt: skip
def test_hosting_platforms_name_a_command(
    plan: Planner, name: str, content: str, source: str
) -> None:
    assert plan({**PYTHON, name: content}).starts[0].source == source

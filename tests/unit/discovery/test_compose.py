from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.discovery.compose import kind_of
from pytest_dora.model.plan import Plan, Role, ServiceKind

Planner = Callable[[dict[str, Any]], Plan]
NODE = {
    "package.json": {"dependencies": {"express": "4", "pg": "8"}},
    "index.js": "app.listen(process.env.PORT)",
    "Dockerfile": "FROM node\nWORKDIR /app\nCOPY . .\nEXPOSE 3000\nCMD node index.js\n",
}
COMPOSE = """
    services:
      app:
        build: .
        environment:
          DATABASE_URL: ${DATABASE_URL:-postgresql://a:b@db:5432/x}
          LEVEL: info
          TOKEN: ${TOKEN}
        ports: ["8080:3000"]
        depends_on:
          migrate: {condition: service_completed_successfully}
        healthcheck:
          test: ["CMD", "curl", "-f", "http://localhost:3000/alive"]
      worker:
        build: .
        command: node worker.js
      migrate:
        build: {context: ., dockerfile: Dockerfile}
        command: ["npx", "prisma", "migrate", "deploy"]
        depends_on: [db]
      db:
        image: postgres:17-alpine
        environment: [POSTGRES_PASSWORD=x]
      admin:
        image: adminer
"""


def test_services_jobs_and_databases_are_told_apart(plan: Planner) -> None:
    found = plan({**NODE, "docker-compose.yml": COMPOSE})
    start = next(one for one in found.starts if one.source == "docker-compose.yml")
    assert [step.argv for step in start.prepare] == [("npx", "prisma", "migrate", "deploy")]
    assert [(one.name, one.role) for one in start.processes] == [
        ("app", Role.WEB),
        ("worker", Role.WORKER),
    ]
    assert start.port == 3000
    assert start.processes[0].env == {"LEVEL": "info"}
    assert start.processes[0].source == "docker-compose.yml:services.app"
    assert found.health_paths == ("/alive",)
    (need,) = found.services
    assert need.kind is ServiceKind.POSTGRES
    assert need.env_names == ("DATABASE_URL",)
    assert (need.url_scheme, need.required) == ("postgresql", True)


def test_variables_without_a_value_are_declared_without_one(plan: Planner) -> None:
    found = plan({**NODE, "docker-compose.yml": COMPOSE})
    declared = {one.name: one for one in found.env}
    assert declared["TOKEN"].value is None
    assert declared["TOKEN"].secret
    assert declared["LEVEL"].value == "info"


def test_the_image_comes_before_the_compose_file(plan: Planner) -> None:
    found = plan({**NODE, "compose.yaml": COMPOSE})
    assert [start.source for start in found.starts[:2]] == ["Dockerfile:5 CMD", "compose.yaml"]


def test_services_in_folders_of_their_own_become_one_app(plan: Planner) -> None:
    found = plan(
        {
            "backend/requirements.txt": "fastapi\nuvicorn",
            "backend/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
            "backend/Dockerfile": "FROM python:3.12\nWORKDIR /app\nCOPY . .\nEXPOSE 8000\n"
            "CMD uvicorn main:app --port 8000\n",
            "frontend/package.json": {"scripts": {"build": "vite build"}},
            "frontend/nginx.conf": "server { listen 80; root /usr/share/nginx/html;"
            " location / { try_files $uri /index.html; }"
            " location /api { proxy_pass http://backend:8000; } }",
            "frontend/Dockerfile": "FROM node AS b\nWORKDIR /w\nCOPY . .\nRUN npm run build\n"
            "FROM nginx\nCOPY --from=b /w/dist /usr/share/nginx/html\n"
            "COPY nginx.conf /etc/nginx/nginx.conf\n",
            "docker-compose.yml": "services:\n  backend: {build: ./backend}\n"
            "  frontend: {build: {context: frontend}, ports: ['80:80'], depends_on: [backend]}\n",
        }
    )
    start = found.starts[0]
    assert start.source == "docker-compose.yml"
    backend, frontend = start.processes
    assert (backend.argv, backend.cwd, backend.package) == (
        ("uvicorn", "main:app", "--port", "8000"),
        "backend",
        "backend",
    )
    assert frontend.role is Role.PROXY
    assert frontend.site is not None
    assert frontend.site.root == "frontend/dist"
    assert [(one.prefix, one.upstream_port) for one in frontend.site.routes] == [("/api", 8000)]
    assert start.port == 8000


def test_a_ready_image_with_the_app_mounted_runs_its_command(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"scripts": {"dev": "vite"}},
            "docker-compose.yml": """
                services:
                  web:
                    image: node:20
                    working_dir: /srv
                    volumes: ["./:/srv"]
                    command: sh -c "npm install && node server.js --port 4000"
            """,
        }
    )
    start = found.starts[0]
    assert start.processes[0].argv == ("node", "server.js", "--port", "4000")
    assert (start.prepare, start.port) == ((), 4000)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("postgres:16", ServiceKind.POSTGRES),
        ("docker.io/pgvector/pgvector:pg16", ServiceKind.POSTGRES),
        ("postgis/postgis", ServiceKind.POSTGRES),
        ("mariadb:11", ServiceKind.MYSQL),
        ("bitnami/mysql:8", ServiceKind.MYSQL),
        ("redis/redis-stack:latest", ServiceKind.REDIS),
        ("localhost:5000/valkey", ServiceKind.REDIS),
        ("mongo", ServiceKind.MONGODB),
        ("mongo-express", None),
        ("prometheuscommunity/postgres-exporter", None),
        ("adminer", None),
        ("node:20", None),
    ],
)
def test_images_of_databases_are_known(image: str, kind: ServiceKind | None) -> None:
    assert kind_of(image) is kind


@pytest.mark.parametrize(
    "text",
    [
        "services: [a, b]",
        "services:\n  a: 1",
        "services:\n  a: {build: ../out, command: x}",
        "services:\n  a: {build: ., environment: {1: [x]}, depends_on: {a: }}",
        "services:\n  a: {depends_on: [b], build: .}\n  b: {depends_on: [a], build: .}",
        "version: '3'",
        "services: &s\n  a: *s",
        "services:\n  a: {image: nginx, volumes: ['/etc:/x', './x:/y', 1, {source: ./, target: /z}]}",
    ],
)
def test_odd_compose_files_do_no_harm(plan: Planner, text: str) -> None:
    found = plan({**NODE, "docker-compose.yml": text})
    assert found.starts[0].source == "Dockerfile:5 CMD"

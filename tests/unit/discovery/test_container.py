from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_dora.discovery.dockerfile import instructions
from pytest_dora.model.plan import Plan, Role, StartPlan

Planner = Callable[[dict[str, Any]], Plan]
PYTHON = {"requirements.txt": "fastapi\nuvicorn\n", "main.py": "import fastapi\n"}
NODE = {"package.json": {"dependencies": {"express": "4"}}, "index.js": "app.listen(3000)"}


def first(found: Plan) -> StartPlan:
    assert found.starts, found
    return found.starts[0]


def argvs(start: StartPlan) -> list[tuple[str, ...]]:
    return [process.argv for process in start.processes]


def prepared(start: StartPlan) -> list[tuple[str, ...]]:
    return [step.argv for step in start.prepare]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ('CMD ["uvicorn", "main:app", "--port", "8000"]', ("uvicorn", "main:app", "--port", "8000")),
        ("CMD uvicorn main:app --port ${PORT:-8000}", ("uvicorn", "main:app", "--port", "{port}")),
        ("CMD exec uvicorn main:app", ("uvicorn", "main:app")),
        ('ENTRYPOINT ["uvicorn"]\nCMD ["main:app"]', ("uvicorn", "main:app")),
        ('ENTRYPOINT ["tini", "--"]\nCMD ["uvicorn", "main:app"]', ("uvicorn", "main:app")),
        ("entrypoint uvicorn main:app", ("uvicorn", "main:app")),
        ('CMD ["sh", "-c", "uvicorn main:app --port $PORT"]', ("uvicorn", "main:app", "--port", "{port}")),
        ('CMD ["uv", "run", "--no-dev", "python", "main.py"]', ("uv", "run", "--no-dev", "python", "main.py")),
        ('CMD ["poetry", "run", "serve"]', ("poetry", "run", "serve")),
        ("CMD uvicorn main:app | tee log", ("sh", "-c", "uvicorn main:app | tee log")),
    ],
)  # fmt: skip
def test_both_forms_of_the_command_are_read(
    plan: Planner, command: str, expected: tuple[str, ...]
) -> None:
    dockerfile = f"FROM python:3.12\nWORKDIR /app\nCOPY . .\n{command}\n"
    start = first(plan({**PYTHON, "Dockerfile": dockerfile}))
    assert argvs(start)[-1] == expected


def test_the_source_names_the_line_of_the_command(plan: Planner) -> None:
    start = first(plan({**PYTHON, "Dockerfile": "FROM python\n\n# x\nCMD uvicorn main:app\n"}))
    assert start.source == "Dockerfile:4 CMD"
    assert start.processes[0].source == "Dockerfile:4 CMD"


def test_preparations_come_before_the_process(plan: Planner) -> None:
    dockerfile = (
        "FROM python:3.12\nWORKDIR /srv\nCOPY . .\nRUN pip install -r requirements.txt\n"
        "RUN apt-get update && apt-get install -y curl\nRUN python manage.py collectstatic --noinput\n"
        'CMD ["sh", "-c", "pip install x && alembic upgrade head && uvicorn main:app"]\n'
    )
    found = plan({**PYTHON, "Dockerfile": dockerfile})
    assert prepared(first(found)) == [
        ("python", "manage.py", "collectstatic", "--noinput"),
        ("alembic", "upgrade", "head"),
    ]
    assert first(found).prepare[0].source == "Dockerfile:6 RUN"
    assert found.workdir == "/srv"


def test_builds_and_installs_of_the_image_are_no_preparations(plan: Planner) -> None:
    dockerfile = (
        "FROM node:20 AS build\nWORKDIR /app\nCOPY . .\nRUN npm ci && npm run build\n"
        "RUN cd client && bun run build\nFROM node:20\nWORKDIR /app\nCOPY --from=build /app .\n"
        "RUN npm ci --omit=dev && npx prisma generate\nCMD node index.js\n"
    )
    start = first(plan({**NODE, "Dockerfile": dockerfile}))
    assert prepared(start) == [("npx", "prisma", "generate")]


def test_variables_of_the_image_reach_the_process_with_their_defaults(plan: Planner) -> None:
    dockerfile = (
        "ARG VERSION=3.12\nFROM python:${VERSION}\nARG REGION=eu\n"
        'ENV A=1 B="two words" C=${REGION}\nENV OLD old form\n'
        "ENV D=${D:-four} SECRET=${SECRET} PORT=${PORT:-9000}\nEXPOSE ${PORT}\nCMD python main.py\n"
    )
    found = plan({**PYTHON, "Dockerfile": dockerfile})
    assert first(found).processes[0].env == {
        "A": "1", "B": "two words", "C": "eu", "OLD": "old form", "D": "four", "PORT": "9000",
    }  # fmt: skip
    assert first(found).port == 9000
    assert found.packages[0].runtime_requires == "3.12"
    declared = {one.name: one for one in found.env}
    assert declared["SECRET"].value is None
    assert declared["D"].value == "four"
    assert declared["D"].source == "Dockerfile:6 ENV"


def test_only_the_final_stage_is_started(plan: Planner) -> None:
    dockerfile = (
        "FROM node:20 AS dev\nENV ONLY_DEV=1\nCMD npm run dev\n"
        "FROM node:20-alpine AS base\nENV BASE=1\nWORKDIR /app\n"
        'FROM base\nCOPY --from=dev /x /y\nCMD ["node", "index.js"]\n'
    )
    process = first(plan({**NODE, "Dockerfile": dockerfile})).processes[0]
    assert process.argv == ("node", "index.js")
    assert process.env == {"BASE": "1"}


@pytest.mark.parametrize(
    ("dockerfile", "workdir", "cwd"),
    [
        ("FROM node\nWORKDIR /app\nCOPY . .\nWORKDIR /app/server\nCMD node a.js", "/app", "server"),
        (
            "FROM node\nCOPY server /code/server\nWORKDIR /code/server\nCMD node a.js",
            "/code",
            "server",
        ),
        ("FROM node\nWORKDIR /app\nCOPY server/ ./\nCMD node a.js", "/app", "server"),
        ("FROM node\nCOPY . .\nCMD node a.js", "/app", "."),
        ("FROM oven/bun\nCOPY . .\nCMD node a.js", "/home/bun/app", "."),
        ("FROM node\nWORKDIR /usr\nWORKDIR src/app\nCOPY . .\nCMD node a.js", "/usr/src/app", "."),
    ],
)
def test_folders_of_the_image_are_folders_of_the_app(
    plan: Planner, dockerfile: str, workdir: str, cwd: str
) -> None:
    found = plan({**NODE, "server/a.js": "x", "Dockerfile": dockerfile})
    assert (found.workdir, first(found).processes[0].cwd) == (workdir, cwd)


def test_paths_that_the_image_has_elsewhere_are_rewritten(plan: Planner) -> None:
    dockerfile = (
        "FROM node\nWORKDIR /srv\nCOPY server/ ./\nCMD node /srv/a.js --conf=/srv/a.js /etc/x"
    )
    start = first(plan({**NODE, "server/a.js": "x", "Dockerfile": dockerfile}))
    assert argvs(start) == [
        ("node", "{workdir}/server/a.js", "--conf={workdir}/server/a.js", "/etc/x")
    ]


def test_a_build_that_the_image_moves_is_moved_before_the_start(plan: Planner) -> None:
    dockerfile = (
        "FROM node AS web\nWORKDIR /web\nCOPY frontend/ ./\nRUN npm ci && npm run build\n"
        "FROM python:3.12\nWORKDIR /app\nCOPY backend/ ./\nCOPY --from=web /web/dist ./static\n"
        "CMD uvicorn main:app\n"
    )
    found = plan(
        {
            "frontend/package.json": {"scripts": {"build": "vite build"}},
            "backend/requirements.txt": "fastapi",
            "backend/main.py": "x",
            "Dockerfile": dockerfile,
        }
    )
    (step,) = first(found).prepare
    assert step.argv[2].endswith("cp -R 'frontend/dist' 'backend/static'")
    assert first(found).processes[0].cwd == "backend"


def test_supervisord_is_followed_to_its_programs(plan: Planner) -> None:
    found = plan(
        {
            **NODE,
            "Dockerfile": """
                FROM node
                WORKDIR /app
                COPY . .
                COPY deploy/supervisor.conf /etc/supervisor/conf.d/app.conf
                CMD ["sh", "-c", "npm run migrate && supervisord -n -c /etc/supervisor/conf.d/app.conf"]
            """,
            "deploy/supervisor.conf": """
                [supervisord]
                nodaemon=true
                [program:api]
                command=node index.js --port 3001
                directory=/app/server
                environment=NODE_ENV="production",LEVEL=info
                [program:queue-worker]
                command=node worker.js
                directory=/app
                priority=1
                [program:off]
                command=node off.js
                autostart=false
            """,
        }
    )
    start = first(found)
    assert prepared(start) == [("npm", "run", "migrate")]
    worker, api = start.processes
    assert (worker.name, worker.role, worker.cwd) == ("queue-worker", Role.WORKER, ".")
    assert (api.name, api.role, api.cwd) == ("api", Role.WEB, "server")
    assert api.env == {"NODE_ENV": "production", "LEVEL": "info"}
    assert api.source == "deploy/supervisor.conf:[program:api]"
    assert start.port == 3001


CADDY = """
    {
        admin off
    }
    :8080 {
        root * /app/web/dist
        encode gzip
        @api path /api/*
        handle @api {
            uri strip_prefix /api
            reverse_proxy localhost:3000
        }
        handle_path /files/* {
            reverse_proxy 127.0.0.1:4000
        }
        reverse_proxy /ws/* localhost:5000
        handle {
            try_files {path} {path}/ /index.html
            file_server
        }
    }
"""


def test_a_caddyfile_becomes_a_site(plan: Planner) -> None:
    found = plan(
        {
            **NODE,
            "Caddyfile": CADDY,
            "Dockerfile": "FROM node\nWORKDIR /app\nCOPY . .\n"
            'CMD ["caddy", "run", "--config", "/app/Caddyfile"]\n',
        }
    )
    (process,) = first(found).processes
    assert process.role is Role.PROXY
    site = process.site
    assert site is not None
    assert (site.port, site.root, site.fallback) == (8080, "web/dist", "index.html")
    routes = {one.prefix: (one.strip_prefix, one.upstream_port) for one in site.routes}
    assert routes == {"/api": (True, 3000), "/files": (True, 4000), "/ws": (False, 5000)}


def test_a_caddyfile_without_braces_becomes_a_site(plan: Planner) -> None:
    caddy = ":{$PORT:80}\nroot * /srv\nfile_server\n"
    found = plan(
        {"index.html": "<p>", "Caddyfile": caddy, "Dockerfile": "FROM caddy\nCOPY . /srv\n"}
    )
    site = first(found).processes[0].site
    assert site is not None
    assert (site.port, site.root) == (80, ".")


NGINX = """
    upstream backend { server 127.0.0.1:8000; }
    server {
        listen 8080 default_server;
        root /usr/share/nginx/html;
        location / { try_files $uri $uri/ /index.html; }
        location /api/ { proxy_pass http://backend/; }
        location ~ \\.php$ { proxy_pass http://127.0.0.1:1; }
        location /keep { proxy_pass http://127.0.0.1:9000; }
    }
"""


def test_an_nginx_image_is_a_site_of_what_was_copied_into_it(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {"scripts": {"build": "vite build"}, "devDependencies": {"vite": "5"}},
            "index.html": "<p>",
            "nginx.conf": NGINX,
            "Dockerfile": "FROM node AS b\nWORKDIR /app\nCOPY . .\nRUN npm run build\n"
            "FROM nginx:alpine\nCOPY --from=b /app/dist /usr/share/nginx/html\n"
            "COPY nginx.conf /etc/nginx/conf.d/default.conf\n",
        }
    )
    site = first(found).processes[0].site
    assert site is not None
    assert (site.port, site.root, site.fallback) == (8080, "dist", "index.html")
    routes = {one.prefix: (one.strip_prefix, one.upstream_port) for one in site.routes}
    assert routes == {"/api": (True, 8000), "/keep": (False, 9000)}


def test_an_entry_script_is_followed(plan: Planner) -> None:
    found = plan(
        {
            **PYTHON,
            "entry.sh": """
                #!/bin/bash
                set -e
                : "${WORKERS:=2}"
                export LEVEL=info
                # wait for the database
                while ! nc -z db 5432; do
                  sleep 1
                done
                until alembic upgrade head; do
                  sleep 2
                done
                while true; do
                    python seed.py
                    if [[ "$?" == "0" ]]; then
                        break
                    fi
                    sleep 5
                done
                if [ "$CREATE_ADMIN" = "1" ]; then
                    python admin.py
                fi
                exec "$@"
            """,
            "Dockerfile": "FROM python\nWORKDIR /app\nCOPY . .\n"
            'ENTRYPOINT ["./entry.sh"]\nCMD ["uvicorn", "main:app"]\n',
        }
    )
    start = first(found)
    assert prepared(start)[:2] == [("alembic", "upgrade", "head"), ("python", "seed.py")]
    assert prepared(start)[2][:2] == ("bash", "-c")
    assert argvs(start) == [("uvicorn", "main:app")]
    assert any("waits for a service" in note for note in found.notes)


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\nif [ -d x ]; then\n  exec node a.js\nelse\n  exec node b.js\nfi\n",
        "#!/bin/sh\nrun() {\n node a.js\n}\nrun\n",
        "#!/bin/sh\nX=$(cat version)\nnode a.js $X\n",
    ],
)
def test_a_script_that_decides_something_is_run_as_a_whole(plan: Planner, script: str) -> None:
    dockerfile = 'FROM node\nWORKDIR /app\nCOPY . .\nCMD ["sh", "start.sh"]\n'
    start = first(plan({**NODE, "start.sh": script, "Dockerfile": dockerfile}))
    assert argvs(start) == [("sh", "start.sh")]


def test_scripts_that_call_each_other_end(plan: Planner) -> None:
    found = plan(
        {
            **NODE,
            "a.sh": "#!/bin/sh\n./b.sh\n",
            "b.sh": "#!/bin/sh\n./a.sh\n",
            "Dockerfile": "FROM node\nWORKDIR /app\nCOPY . .\nCMD ./a.sh\n",
        }
    )
    assert first(found).processes


def test_the_health_check_of_the_final_stage_names_the_path(plan: Planner) -> None:
    dockerfile = (
        "FROM node\nHEALTHCHECK --interval=5s CMD curl -f http://localhost:3000/status/ready || exit 1\n"
        "CMD node index.js\n"
    )
    assert plan({**NODE, "Dockerfile": dockerfile}).health_paths == ("/status/ready",)
    none = dockerfile + "HEALTHCHECK NONE\n"
    assert plan({**NODE, "Dockerfile": none}).health_paths == ()


def test_instructions_know_continuations_comments_escapes_and_documents() -> None:
    text = (
        "# escape=\\\nFROM a \\\n  # inside\n\n  AS b\nRUN <<EOF\none\ntwo\nEOF\n"
        "ENV A=1 \\\n    B=2\nbroken\nCMD x"
    )
    found = [(one.keyword, one.text.split(), one.line) for one in instructions(text)]
    assert found == [
        ("FROM", ["a", "AS", "b"], 2),
        ("RUN", ["one", "two"], 6),
        ("ENV", ["A=1", "B=2"], 10),
        ("CMD", ["x"], 13),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FROM",
        "CMD",
        "COPY a",
        "ENV",
        'FROM x\nCMD ["a"',
        "FROM x\nCMD []",
        "FROM x\nENV =\nCMD ''",
    ],
)
def test_broken_dockerfiles_do_no_harm(plan: Planner, text: str) -> None:
    found = plan({**NODE, "Dockerfile": text})
    assert found.packages

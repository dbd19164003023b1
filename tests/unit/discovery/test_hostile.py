"""Apps that want to be misread: nothing they write may raise, hang or leave their folder."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_dora.discovery import discover
from pytest_dora.model.plan import Plan, Process, Step

Planner = Callable[[dict[str, Any]], Plan]

SCALARS = st.none() | st.booleans() | st.integers(-10, 10**6) | st.text(max_size=12)
COMMANDS = st.sampled_from(
    [
        "uvicorn main:app",
        "node x.js && y",
        "sh -c 'a | b'",
        "./boot.sh",
        "cd .. && z",
        "$X",
        "",
        "\0",
        "a\0b",
    ]
)
ANY = st.recursive(
    SCALARS | COMMANDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "path", "build", "command", "env", "name"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
KEYS = {
    "package.json": "name scripts dependencies devDependencies workspaces packageManager engines main type proxy".split(),
    "tsconfig.json": "files include exclude references extends compilerOptions".split(),
    "composer.json": ["require", "require-dev"],
    "app.yaml": ["command", "env", "entrypoint"],
    "docker-compose.yml": ["services", "version"],
    "databricks.yml": ["resources"],
    "render.yaml": ["services"],
    "nx.json": ["x"],
    "project.json": ["name", "targets", "projectType"],
    "railway.json": ["deploy"],
    "pnpm-workspace.yaml": ["packages"],
}
TEXTS = (
    "Dockerfile Procfile boot.sh pyproject.toml requirements.txt .replit dora.toml supervisord.conf Caddyfile"
    " nginx.conf main.py src/index.ts vite.config.ts go.mod main.go .env.example setup.cfg Pipfile tests/test_a.py"
    " package.json docker-compose.yml uv.lock manage.py prisma/schema.prisma"
).split()  # fmt: skip


def as_tables() -> st.SearchStrategy[dict[str, Any]]:
    choices = [
        st.tuples(st.just(name), st.dictionaries(st.sampled_from(keys), ANY, max_size=5))
        for name, keys in KEYS.items()
    ]
    return st.lists(st.one_of(choices), max_size=5).map(dict)


LINES = st.sampled_from(
    [
        "FROM node AS x", "COPY . .", "COPY --from=x a b", "WORKDIR /a/../..", 'CMD ["a", 1]', "ENV A=${B:-",
        "RUN <<EOF", "HEALTHCHECK CMD curl http://x/y", "web: a; b", "worker: ${", "[program:a]", "command=",
        "[project]", "dependencies = [1, 'x']", "[tool.uv]", "[[processes]]", "command = 'x'", "import os",
        "os.environ['A']", "app = FastAPI()", "def create_app(", "if __name__ == '__main__':", "    ui.run(",
        "process.env.A!", "export default {root: '../..', build: {outDir: '/x'}}", "server { listen x;",
        ":80 {", "reverse_proxy a:99999", "proxy_pass http://x:99999/;", "-r requirements.txt", "module a/v2",
        "package main", "func main() {", "while true; do", "done", 'exec "$@"', "datasource db {", "}", "{",
    ]
)  # fmt: skip
CONTENT = st.lists(LINES | st.text(max_size=30), max_size=12).map("\n".join)


@given(tables=as_tables(), texts=st.dictionaries(st.sampled_from(TEXTS), CONTENT, max_size=6))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_content_raises_and_every_plan_can_be_written(
    tables: dict[str, Any], texts: dict[str, str]
) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8", errors="replace")
        for name, value in tables.items():
            (root / name).write_text(json.dumps(value), encoding="utf-8")
        found = discover(root)
    finally:
        shutil.rmtree(root)
    assert Plan.model_validate_json(found.model_dump_json()) == found
    for start in found.starts:
        runs: list[Step | Process] = [*start.prepare, *start.processes]
        for one in runs:
            assert not any("\0" in word for word in one.argv)
            assert not any("\0" in word for word in (*one.env, *one.env.values()))
            assert ".." not in one.cwd.split("/")
            assert not one.cwd.startswith("/")


REPEATED = [
    "a" * 190_000,
    " " * 190_000,
    "\n" * 190_000,
    "(" * 190_000,
    "process.env." * 15_000,
    "os.environ.get(" * 12_000,
    "x = FastAPI" * 15_000,
    "@app.get('/a/" * 14_000,
    "health/" * 27_000,
    "'/" + "a/" * 90_000 + "health'",
    "class A(BaseSettings):\n" * 8_000,
    "const {" * 27_000 + "} = process.env",
    "proxy: {'/api': {" * 11_000,
    "outDir: path.resolve(__dirname, 'a'," * 5_000,
    'ENV A="' * 27_000,
    "COPY --from=x " * 13_000,
    "location / {" * 15_000,
    "if __name__" * 17_000,
    "postgres://" * 17_000,
    "import x from '" * 12_000,
    "{" * 190_000,
    "run \\\n" * 30_000,
    "-" * 190_000,
    "from a import " * 13_000,
    "%(ENV_" * 30_000,
    "A=" * 95_000,
]
NAMES = (
    "main.py", "src/index.ts", "Dockerfile", "Caddyfile", "nginx.conf", "supervisord.conf", "Procfile", "boot.sh",
    "vite.config.ts", "main.go", "requirements.txt", "schema.prisma", "settings.py", "setup.cfg", "Makefile",
    ".env.example", "docker-compose.yml", "pyproject.toml",
)  # fmt: skip


@pytest.mark.parametrize("text", REPEATED, ids=[repr(text[:14]) for text in REPEATED])
def test_no_text_costs_much_time(plan: Planner, text: str) -> None:
    files: dict[str, Any] = dict.fromkeys(NAMES, text)
    files["package.json"] = {
        "scripts": {"build": "vite build", "test": text[:9_000], "start": text[:9_000]},
        "dependencies": {"express": "4", "vite": "5", "pg": "8"},
    }
    files["docker-compose.yml"] = (
        "services: {a: {build: ., command: '" + text[:5_000].replace("'", "") + "'}}"
    )
    started = time.perf_counter()
    plan(files)
    assert time.perf_counter() - started < 15


def test_many_members_patterns_and_references_end(plan: Planner) -> None:
    files: dict[str, Any] = {
        f"p{number}/package.json": {"name": f"p{number}", "scripts": {"build": "tsc"}}
        for number in range(120)
    }
    files["package.json"] = {"workspaces": ["*" * 50, "**", *(f"p{n}" for n in range(500))]}
    files["tsconfig.json"] = {
        "include": ["**/" * 40 + "*.ts"] * 50,
        "references": [{"path": f"p{number}"} for number in range(500)],
    }
    files["a.ts"] = "x"
    started = time.perf_counter()
    assert plan(files).packages
    assert time.perf_counter() - started < 15


def test_placeholders_and_paths_of_the_host_stay_text(plan: Planner) -> None:
    found = plan(
        {
            "package.json": {
                "scripts": {"start": "node ../../../etc/passwd"},
                "main": "/etc/passwd",
            },
            "Procfile": "web: cat /etc/passwd {workdir}",
        }
    )
    assert found.starts[0].processes[0].argv == ("cat", "/etc/passwd", "{workdir}")


@pytest.mark.parametrize(
    "name", ["package.json", "pyproject.toml", "docker-compose.yml", "app.yaml", "tsconfig.json"]
)
def test_a_broken_manifest_is_an_error_with_its_file_and_line(plan: Planner, name: str) -> None:
    found = plan(
        {
            "src/a.ts": "x",
            "package.json": {"name": "a", "devDependencies": {"typescript": "5"}},
            "Dockerfile": "FROM node\nCMD node a.js",
            name: "{\n  broken: [\n",
        }
    )
    assert [error.split(":")[0] for error in found.errors] == [name]
    assert found.errors[0].split(":")[1].isdecimal()

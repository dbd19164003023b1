"""What the recognisers of start commands share: the files and what is already known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.node import NodeProject
from pytest_dora.discovery.python import PythonProject
from pytest_dora.model.plan import Ecosystem, Package

_PROGRAMS = {
    Ecosystem.PYTHON: frozenset(
        "python python3 pip uv uvx poetry pipenv uvicorn gunicorn hypercorn daphne granian waitress-serve"
        " flask streamlit gradio shiny chainlit panel celery rq huey dramatiq alembic django-admin"
        " fastapi sanic pytest mlflow reflex solara marimo".split()
    ),
    Ecosystem.NODE: frozenset(
        "node npm npx yarn pnpm bun bunx deno tsx ts-node next vite nuxt astro remix-serve"
        " react-router-serve serve http-server pm2 prisma drizzle-kit knex sequelize nest".split()
    ),
    Ecosystem.PHP: frozenset("php artisan composer frankenphp php-fpm".split()),
    Ecosystem.GO: frozenset({"go"}),
}


@dataclass
class Context:
    """The tree and the packages found in it."""

    tree: Tree
    packages: Sequence[Package] = ()
    node: Sequence[NodeProject] = ()
    python: Sequence[PythonProject] = ()
    extra_requirements: dict[str, list[str]] = field(default_factory=dict)
    """Requirements that an image installs beside the manifests, by package path."""

    def package_of(self, argv: Sequence[str], cwd: str) -> str:
        """The path of the package whose tools a command needs."""
        ecosystem = ecosystem_of(argv[0])
        around = [
            package
            for package in self.packages
            if package.path in (".", cwd) or cwd.startswith(f"{package.path}/")
        ]
        same = [package for package in around if ecosystem in (None, package.ecosystem)]
        anywhere = [package for package in self.packages if package.ecosystem is ecosystem]
        for candidates in (same, anywhere, around, self.packages):
            if candidates:
                return max(candidates, key=lambda one: 0 if one.path == "." else len(one.path)).path
        return "."


def ecosystem_of(program: str) -> Ecosystem | None:
    """Whose tool a program is, None when it may be anybody's."""
    name = program.rsplit("/", 1)[-1]
    name = "python" if name.startswith("python3.") else name
    return next((key for key, names in _PROGRAMS.items() if name in names), None)

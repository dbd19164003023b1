"""Migrations that nobody declared for the start, but that an empty database needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_dora.discovery import launch
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.launch import Place
from pytest_dora.discovery.node import NodeProject, at
from pytest_dora.discovery.python import PythonProject
from pytest_dora.discovery.shell import Command
from pytest_dora.model.plan import ServiceNeed, StartPlan, Step

SCRIPTS = (
    "db:migrate:deploy",
    "db:deploy",
    "migrate:deploy",
    "migrate:prod",
    "db:migrate",
    "migrate",
    "migrate:up",
    "db:push",
    "db:setup",
)
_INTERACTIVE = re.compile(r"\bmigrate dev\b|--create-only|\bgenerate\b(?!.*&&)")


def with_migrations(
    context: Context, starts: Sequence[StartPlan], needs: Sequence[ServiceNeed]
) -> list[StartPlan]:
    """The same candidates, the first of them preceded by one that migrates the database.

    ``starts`` are candidates of scripts and framework rules; what an image or a Procfile
    declares is complete as it stands.
    """
    if not starts:
        return list(starts)
    steps = tuple(_steps(context, starts[0], any(need.required for need in needs)))
    if not steps:
        return list(starts)
    first = starts[0].model_copy(update={"prepare": (*steps, *starts[0].prepare)})
    return [first, *starts]


def _steps(context: Context, start: StartPlan, has_database: bool) -> Iterator[Step]:
    packages = {process.package for process in start.processes}
    folders = {process.cwd for process in start.processes}
    for python in context.python:
        if python.path in packages:
            yield from _python(context, python, start)
    started = " ".join(word for process in start.processes for word in process.argv)
    if not has_database:
        return
    for node in context.node:
        if node.package in packages and (node.path in folders or not node.member):
            step = _node(context, node, started)
            if step is not None:
                yield step
                return


def _python(context: Context, project: PythonProject, start: StartPlan) -> Iterator[Step]:
    tree = context.tree
    manage = at(project.path, "manage.py")
    if tree.has(manage) and "django" in tree.source(manage):
        command = Command(("python", "manage.py", "migrate", "--noinput"), project.path)
        yield launch.step(context, command, manage, Place())
        return
    config = tree.first(project.path, "alembic.ini", "app/alembic.ini", "src/alembic.ini")
    if config:
        command = Command(("alembic", "upgrade", "head"), config.rpartition("/")[0] or ".")
        yield launch.step(context, command, config, Place())
        return
    flask = tree.first(project.path, "migrations/env.py")
    if flask and project.has("flask-migrate"):
        words = next((process.argv for process in start.processes), ())
        target = ("--app", words[2]) if words[:2] == ("flask", "--app") else ()
        command = Command(("flask", *target, "db", "upgrade"), project.path)
        yield launch.step(context, command, flask, Place())


def _node(context: Context, project: NodeProject, started: str) -> Step | None:
    called = " ".join(
        text for name, text in project.scripts.items() if name in ("start", "prestart")
    )
    if re.search(r"migrat|db:push|db push", f"{called} {started}"):
        return None
    for name in SCRIPTS:
        text = project.scripts.get(name)
        if text is not None and not _INTERACTIVE.search(text):
            command = Command(project.run(name), project.path)
            return launch.step(context, command, f"{project.file}:scripts.{name}", Place())
    schema = context.tree.first(project.path, "prisma/schema.prisma")
    if schema is None:
        return None
    migrated = any(
        path.startswith(f"{at(project.path, 'prisma/migrations')}/") for path in context.tree.files
    )
    words = ("migrate", "deploy") if migrated else ("db", "push", "--skip-generate")
    return launch.step(context, Command(("prisma", *words), project.path), schema, Place())

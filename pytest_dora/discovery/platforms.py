"""Start commands in the files of hosting platforms: Render, Railway, Nixpacks, Fly."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_dora.discovery import launch, shell
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.files import join
from pytest_dora.discovery.launch import Place
from pytest_dora.discovery.parse import items, string, table
from pytest_dora.model.plan import StartPlan


def starts(context: Context) -> Iterator[StartPlan]:
    """One candidate per file that has a start command for the web."""
    for source, text, folder in _commands(context):
        found = shell.commands(text, cwd=folder)
        plan = launch.start_plan(context, found, source, place=Place(cwd=folder))
        if plan is not None:
            yield plan


def _commands(context: Context) -> Iterator[tuple[str, str, str]]:
    """Where a command was read, its text, and the folder it runs in."""
    tree = context.tree
    path = tree.first(".", "render.yaml", "render.yml")
    for number, entry in enumerate(items(tree.yaml(path).get("services"))[:20] if path else ()):
        body = table(entry)
        text = string(body.get("startCommand"))
        folder = join(".", string(body.get("rootDir")) or ".")
        if text and folder and body.get("type") in ("web", "pserv"):
            yield f"{path}:services[{number}].startCommand", text, folder
    path = tree.first(".", "railway.json")
    text = string(table(tree.json(path).get("deploy")).get("startCommand")) if path else None
    if path and text:
        yield f"{path}:deploy.startCommand", text, "."
    path = tree.first(".", "railway.toml")
    text = string(table(tree.toml(path).get("deploy")).get("startCommand")) if path else None
    if path and text:
        yield f"{path}:deploy.startCommand", text, "."
    path = tree.first(".", "nixpacks.toml")
    text = string(table(tree.toml(path).get("start")).get("cmd")) if path else None
    if path and text:
        yield f"{path}:start.cmd", text, "."
    path = tree.first(".", "fly.toml")
    processes = table(tree.toml(path).get("processes")) if path else {}
    text = string(processes.get("app")) or string(processes.get("web"))
    if path and text:
        yield f"{path}:processes", text, "."

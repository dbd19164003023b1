"""Ways to start that a file declares for a platform: dora.toml, app.yaml, Procfile, Replit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_dora.discovery import launch, shell
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.files import join
from pytest_dora.discovery.launch import Place
from pytest_dora.discovery.node import at
from pytest_dora.discovery.parse import items, scalar, string, strings, table
from pytest_dora.discovery.shell import Command
from pytest_dora.model.plan import EnvVar, Process, Role, StartPlan, Step

_UVICORN_PORT = re.compile(r"(?:^|\s)(?:--port|--uds|--fd)(?:[ =]|$)")
_PROCFILE_LINE = re.compile(r"([A-Za-z0-9_-]{1,50}):\s*(.+)")
_SKIPPED_PROCESSES = frozenset({"release", "console", "postdeploy"})


def dora_toml(context: Context) -> Iterator[StartPlan]:
    """``[[processes]]`` and ``[[prepare]]`` of an app's own dora.toml."""
    path = "dora.toml"
    content = context.tree.toml(path) if context.tree.has(path) else {}
    prepare: list[Step] = []
    for number, entry in enumerate(items(content.get("prepare"))[:20]):
        for command in _commands_of(table(entry)):
            source = f"{path}:prepare[{number}]"
            prepare.append(launch.step(context, command, source, Place()))
    processes: list[Process] = []
    for number, entry in enumerate(items(content.get("processes"))[:20]):
        body = table(entry)
        found = _commands_of(body)
        if not found:
            context.tree.error(path, 1, f"processes[{number}] has no command")
            continue
        name = string(body.get("name")) or "web"
        role = string(body.get("role")) or ""
        plan = launch.start_plan(context, found, f"{path}:processes[{number}]", name=name)
        for process in plan.processes if plan else ():
            known = Role(role) if role in ("web", "worker") else process.role
            processes.append(process.model_copy(update={"role": known}))
        prepare.extend(plan.prepare if plan else ())
    if processes:
        port = content.get("port")
        yield launch.assemble(processes, prepare, path, port if _is_port(port) else None)


def dora_facts(context: Context) -> tuple[tuple[str, ...], tuple[EnvVar, ...]]:
    """Health paths and variables of dora.toml."""
    path = "dora.toml"
    content = context.tree.toml(path) if context.tree.has(path) else {}
    health = tuple(one for one in strings(content.get("health")) if one.startswith("/"))
    env: list[EnvVar] = []
    env.extend(
        EnvVar(name=str(name), value=scalar(value), source=f"{path}:env")
        for name, value in list(table(content.get("env")).items())[:200]
    )
    env.extend(
        EnvVar(name=name, required=True, source=f"{path}:env")
        for name in strings(content.get("env"))[:200]
    )
    return health, tuple(env)


def app_yaml(context: Context, folder: str) -> tuple[StartPlan | None, tuple[EnvVar, ...]]:
    """The command and the variables of a Databricks ``app.yaml``."""
    path = context.tree.first(folder, "app.yaml", "app.yml")
    content = context.tree.yaml(path) if path else {}
    if path is None or not ({"command", "env", "entrypoint"} & set(content)):
        return None, ()
    return _app(context, folder, path, content)


def bundle(context: Context, folder: str) -> tuple[StartPlan | None, tuple[EnvVar, ...]]:
    """The same from ``databricks.yml``, where a bundle may configure the app instead."""
    path = context.tree.first(folder, "databricks.yml", "databricks.yaml")
    apps = table(table(context.tree.yaml(path).get("resources")).get("apps")) if path else {}
    for body in list(apps.values())[:5]:
        config = table(table(body).get("config"))
        source = join(folder, string(table(body).get("source_code_path")) or ".")
        if path and config and source is not None:
            return _app(context, source, path, config)
    return None, ()


def _app(
    context: Context, folder: str, path: str, content: Mapping[str, Any]
) -> tuple[StartPlan | None, tuple[EnvVar, ...]]:
    env: list[EnvVar] = []
    values: dict[str, str] = {}
    for number, entry in enumerate(items(content.get("env"))[:200]):
        body = table(entry)
        name = string(body.get("name"))
        if name is None or not re.fullmatch(r"[A-Za-z_]\w{0,100}", name):
            continue
        value = scalar(body.get("value"))
        given_by_platform = "valueFrom" in body or "value_from" in body
        if value is not None and not given_by_platform:
            values[name] = value
        env.append(
            EnvVar(
                name=name,
                value=None if given_by_platform else value,
                required=given_by_platform,
                source=f"{path}:env[{number}]",
            )
        )
    declared = content.get("command") or content.get("entrypoint")
    words = [text for one in items(declared) if (text := scalar(one)) is not None]
    text = string(declared)
    source = f"{path}:command"
    place = Place(variables=values, env=_without_ports(values), cwd=folder)
    if words:
        one = shell.argument_list(words, values)
        found: tuple[Command, ...] = (Command(one.argv, folder, one.env),)
        if shell.shell_script(words) is not None:
            found = (Command(tuple(words), folder),)
    elif text:
        found = shell.commands(text, values, cwd=folder)
    else:
        return None, tuple(env)
    plan = launch.start_plan(context, found, source, place=place)
    return (_uvicorn_with_port(plan) if plan else None), tuple(env)


def procfile(context: Context, folder: str) -> Iterator[StartPlan]:
    """The ``web`` line with its preparations, and the workers beside it."""
    tree = context.tree
    path = at(folder, "Procfile")
    processes: list[Process] = []
    prepare: list[Step] = []
    lines = (tree.text(path) or "").split("\n") if tree.has(path) else []
    ordered: list[tuple[str, str, int]] = []
    for number, line in enumerate(lines[:200], start=1):
        match = _PROCFILE_LINE.fullmatch(line.strip())
        if match:
            ordered.append((match[1], match[2], number))
    ordered.sort(key=lambda entry: (entry[0] != "release", entry[0] != "web"))
    for name, text, number in ordered:
        found = shell.commands(text, cwd=folder)
        source = f"{path}:{number} {name}"
        if name == "release":
            place = Place(cwd=folder)
            useful = (one for one in found if not launch.is_noise(one))
            prepare.extend(launch.step(context, one, source, place) for one in useful)
            continue
        if name in _SKIPPED_PROCESSES:
            continue
        plan = launch.start_plan(context, found, source, name=name)
        if plan is None:
            continue
        prepare.extend(plan.prepare)
        processes.extend(
            process if name == "web" else process.model_copy(update={"role": Role.WORKER})
            for process in plan.processes
        )
    if any(process.role is not Role.WORKER for process in processes):
        yield launch.assemble(processes, prepare, path, None)


def replit(context: Context) -> Iterator[StartPlan]:
    """The deployment's command, and the development one after it."""
    path = ".replit"
    if not context.tree.has(path):
        return
    content = context.tree.toml(path)
    deployment = table(content.get("deployment"))
    ports = [table(one).get("localPort") for one in items(content.get("ports"))[:20]]
    port = next((one for one in ports if _is_port(one)), None)
    workflow_run = content.get("run")
    for key, declared in (("deployment.run", deployment.get("run")), ("run", workflow_run)):
        words = list(strings(declared)) if isinstance(declared, list) else []
        text = string(declared)
        if words:
            found: tuple[Command, ...] = (Command(tuple(words)),)
        elif text:
            found = shell.commands(text)
        else:
            continue
        plan = launch.start_plan(context, found, f"{path}:{key}", port=port)
        if plan:
            yield plan


def _commands_of(body: Mapping[str, object]) -> tuple[Command, ...]:
    folder = join(".", string(body.get("cwd")) or ".") or "."
    env = {str(key): text for key, one in table(body.get("env")).items() if (text := scalar(one))}
    declared = body.get("command")
    text = string(declared)
    if text:
        found = shell.commands(text, cwd=folder)
        return tuple(
            Command(one.argv, one.cwd, {**env, **one.env}, one.background) for one in found
        )
    words = strings(declared)
    return (Command(words, folder, env),) if words else ()


def _uvicorn_with_port(plan: StartPlan) -> StartPlan:
    """Uvicorn reads no variable for its port, and the platform appends it."""
    processes = []
    for process in plan.processes:
        text = " ".join(process.argv)
        bare = process.argv[0] == "uvicorn" or process.argv[:3] == ("python", "-m", "uvicorn")
        if bare and not _UVICORN_PORT.search(text):
            argv = (*process.argv, "--port", "{port}")
            process = process.model_copy(update={"argv": argv})
        processes.append(process)
    return plan.model_copy(update={"processes": tuple(processes)})


def _without_ports(values: Mapping[str, str]) -> dict[str, str]:
    """Ports are given by whoever runs the app, unless several processes have to agree."""
    return {name: value for name, value in values.items() if name not in shell.PORT_NAMES}


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65_536

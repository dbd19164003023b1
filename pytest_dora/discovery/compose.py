"""Docker compose files: the app's services, the jobs before them, and the databases beside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_dora.discovery import container, launch, shell
from pytest_dora.discovery.container import Image
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.dockerfile import Stage
from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.launch import Place
from pytest_dora.discovery.parse import items, parse_dotenv, scalar, string, strings, table
from pytest_dora.discovery.shell import Command, expand
from pytest_dora.model.plan import Process, Role, ServiceKind, StartPlan, Step

NAMES = (
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.yml",
    "compose.yaml",
    "docker-compose.prod.yml",
    "docker-compose.production.yml",
)
IMAGES = {
    ServiceKind.POSTGRES: ("postgres", "postgis", "pgvector", "timescale", "supabase/postgres"),
    ServiceKind.MYSQL: ("mysql", "mariadb", "percona"),
    ServiceKind.REDIS: ("redis", "valkey", "dragonfly", "keydb"),
    ServiceKind.MONGODB: ("mongo",),
}
MAX_SERVICES = 30


@dataclass
class Service:
    """One service of a compose file."""

    name: str
    body: Mapping[str, Any]
    image: Image | None = None
    """Built from a Dockerfile of the app."""
    kind: ServiceKind | None = None
    env: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    """Variables without a value, to be given by whoever runs it."""


@dataclass
class Compose:
    """A compose file."""

    path: str
    services: dict[str, Service] = field(default_factory=dict)


def read(tree: Tree, folders: tuple[str, ...]) -> Compose | None:
    """The first compose file of the app's folders."""
    for folder in folders:
        path = tree.first(folder, *NAMES)
        if path is None:
            continue
        compose = Compose(path)
        here = path.rpartition("/")[0] or "."
        for name, body in list(table(tree.yaml(path).get("services")).items())[:MAX_SERVICES]:
            label = scalar(name)
            if label and isinstance(body, dict):
                compose.services[label] = _service(tree, here, label, body)
        return compose
    return None


def start_of(context: Context, compose: Compose) -> StartPlan | None:
    """All services of the app together, after the jobs that have to end first."""
    jobs = {
        name
        for service in compose.services.values()
        for name, condition in _dependencies(service)
        if condition == "service_completed_successfully"
    }
    prepare: list[Step] = []
    processes: list[Process] = []
    ports: list[int] = []
    for name in _in_order(compose):
        service = compose.services[name]
        if service.kind is not None:
            continue
        plan = _start(context, compose, service)
        if plan is None:
            continue
        if name in jobs:
            prepare.extend(plan.prepare)
            prepare.extend(_as_step(process) for process in plan.processes)
        else:
            prepare.extend(plan.prepare)
            processes.extend(plan.processes)
            ports.extend(port for port in (_container_port(service), plan.port) if port)
    if not any(process.role is not Role.WORKER for process in processes):
        return None
    return launch.assemble(processes, prepare, compose.path, ports[0] if ports else None)


def health_paths(compose: Compose) -> tuple[str, ...]:
    """Texts of the health checks of the app's own services."""
    return tuple(
        " ".join(strings(table(service.body.get("healthcheck")).get("test")))
        for service in compose.services.values()
        if service.kind is None
    )


def kind_of(image: str) -> ServiceKind | None:
    """Which known service an image is."""
    name = image.partition("@")[0].lower()
    name = re.sub(r":[^/]*$", "", name)
    for kind, names in IMAGES.items():
        if any(
            name == one or name.rsplit("/", 1)[-1].startswith(one) or name.endswith(one)
            for one in names
        ):
            last = name.rsplit("/", 1)[-1]
            if not re.search(r"express|commander|insight|exporter|admin|backup", last):
                return kind
    return None


def _service(tree: Tree, here: str, name: str, body: Mapping[str, Any]) -> Service:
    service = Service(name, body)
    image = string(body.get("image"))
    build = body.get("build")
    if build is None and image:
        service.kind = kind_of(expand(image, {}) or image)
    elif build is not None:
        options = table(build)
        folder = string(build) or scalar(options.get("context")) or "."
        base = join(here, folder)
        file = scalar(options.get("dockerfile"))
        path = join(base, file) if base and file else None
        if base and path is None:
            path = tree.first(base, *container.NAMES)
        if base and path and tree.has(path):
            service.image = container.read_image(tree, path, base, scalar(options.get("target")))
    _read_environment(tree, here, service)
    return service


def _read_environment(tree: Tree, here: str, service: Service) -> None:
    unset: list[str] = []
    for file in strings(service.body.get("env_file"))[:5]:
        path = join(here, file)
        for _, name, value in parse_dotenv(tree.source(path)) if path else ():
            service.env[name] = value
    declared = service.body.get("environment")
    pairs: list[tuple[str, str | None]] = []
    for name, value in table(declared).items():
        pairs.append((str(name), scalar(value)))
    for entry in items(declared):
        text = scalar(entry) or ""
        name, separator, plain = text.partition("=")
        pairs.append((name, plain if separator else None))
    for name, raw in pairs[:200]:
        if not re.fullmatch(r"[A-Za-z_]\w{0,100}", name):
            continue
        resolved = expand(raw, {}) if raw is not None else None
        if resolved is None:
            unset.append(name)
        else:
            service.env[name] = resolved
    service.unset = tuple(unset)


def _start(context: Context, compose: Compose, service: Service) -> StartPlan | None:
    command = _command(service.body.get("command"))
    entrypoint = _command(service.body.get("entrypoint"))
    working_dir = scalar(service.body.get("working_dir"))
    source = f"{compose.path}:services.{service.name}"
    if service.image is not None:
        image = service.image
        found, _ = container.image_commands(image, entrypoint, command, working_dir)
        if not found and command is None:
            alone = container.start_of(context, image)
            return alone.model_copy(update={"source": source}) if alone else None
        place = image.place(service.env)
        prepare = (*container.carried(image, context), *container.extra_steps(context, image))
        port = image.port
    else:
        mounted = _mounted(compose, service)
        if mounted is None:
            return None
        place, port, prepare = mounted, None, ()
        if command is None and entrypoint is None:
            program = _web_server(service)
            if program is None:
                return None
            found = (Command((program,), "."),)
        else:
            words = command if command is not None else entrypoint
            found = _parsed(words, place)
    place = _with_ports(compose, place)
    return launch.start_plan(
        context, found, source, name=service.name, place=place, port=port, prepare=prepare
    )


def _parsed(words: list[str] | str | None, place: Place) -> tuple[Command, ...]:
    if isinstance(words, str):
        return shell.commands(words, place.variables, cwd=place.cwd, locate=place.relative)
    if not words:
        return ()
    if shell.shell_script(words) is not None:
        return (Command(tuple(words), place.cwd),)
    one = shell.argument_list(words, place.variables)
    return (Command(one.argv, place.cwd, one.env),)


def _command(value: object) -> list[str] | str | None:
    """A command as written; one that is empty without the caller's variables counts as none."""
    if isinstance(value, str):
        filled = re.sub(r"\$\{\w+:?-?\}", "", value.replace("$$", "$")).strip()
        return filled or None
    words = [text for one in items(value) if (text := scalar(one)) is not None]
    return words or None


def _mounted(compose: Compose, service: Service) -> Place | None:
    """A ready image (``node:20``, ``nginx``) into which a folder of the app is mounted."""
    here = compose.path.rpartition("/")[0] or "."
    binds: list[tuple[str, str]] = []
    for volume in items(service.body.get("volumes"))[:30]:
        entry = table(volume)
        text = scalar(volume) or ""
        host, _, rest = text.partition(":")
        host = scalar(entry.get("source")) or host
        inside = scalar(entry.get("target")) or rest.partition(":")[0]
        if host.startswith((".", "./")) and inside.startswith("/"):
            app = join(here, host)
            if app is not None:
                binds.append((inside.rstrip("/") or "/", app))
    if not binds:
        return None
    stage = Stage("", string(service.body.get("image")) or "", copies=binds)
    working = scalar(service.body.get("working_dir"))
    stage.workdir = working or next((inside for inside, app in binds if app in (".", here)), "/")
    image = Image(compose.path, ".", stage, None, {})
    return image.place(service.env)


def _web_server(service: Service) -> str | None:
    image = (string(service.body.get("image")) or "").rpartition("/")[2]
    return next((name for name in ("nginx", "caddy") if image.startswith(name)), None)


def _with_ports(compose: Compose, place: Place) -> Place:
    """The same place, where upstream names are services of this file."""

    def port_of(host: str) -> int | None:
        service = compose.services.get(host)
        return _container_port(service) if service else 80

    return Place(
        place.variables,
        place.env,
        place.cwd,
        place.relative,
        place.rewrite,
        port_of,
        place.configs,
    )


def _container_port(service: Service) -> int | None:
    """The port inside the container that the service publishes or exposes."""
    for entry in (*items(service.body.get("ports")), *items(service.body.get("expose"))):
        target = scalar(table(entry).get("target")) or scalar(entry) or ""
        match = re.search(r"(?:^|:)(\d{2,5})(?:/tcp)?$", expand(target, {}) or target)
        if match:
            return int(match[1])
    return service.image.port if service.image else None


def _dependencies(service: Service) -> list[tuple[str, str]]:
    declared = service.body.get("depends_on")
    if isinstance(declared, dict):
        return [
            (str(name), scalar(table(body).get("condition")) or "")
            for name, body in declared.items()
        ]
    return [(name, "") for name in strings(declared)]


def _in_order(compose: Compose) -> list[str]:
    """Services after those that they depend on."""
    ordered: list[str] = []
    visiting: set[str] = set()

    def visit(name: str) -> None:
        if name in ordered or name in visiting or name not in compose.services:
            return
        visiting.add(name)
        for other, _ in _dependencies(compose.services[name]):
            visit(other)
        ordered.append(name)

    for name in compose.services:
        visit(name)
    return ordered


def _as_step(process: Process) -> Step:
    return Step(
        name=process.name,
        argv=process.argv,
        cwd=process.cwd,
        env=process.env,
        package=process.package,
        source=process.source,
    )

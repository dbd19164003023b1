"""From commands to a way to start: steps that end, processes that stay, and their roles."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pytest_dora.discovery import proxy, script, supervisor
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.files import join
from pytest_dora.discovery.shell import Command, commands, shell_script
from pytest_dora.model.plan import Process, ProxySite, Role, StartPlan, Step

MAX_FOLLOWED = 6
_INSTALLS = re.compile(
    r"^(?:npm (?:ci|i|install)|pnpm (?:i|install)|yarn(?: install)?(?: --\S+)*$|bun (?:i|install)"
    r"|(?:python3? -m )?pip3? install|uv (?:sync|pip install)|poetry install|pipenv install"
    r"|composer install|go mod download|apt-get|apt|apk|yum|npx playwright install|corepack)\b"
)
_TRIVIAL = frozenset({"chmod", "chown", "printenv", "ls", "cat", "pwd", "whoami", "curl", "clear"})
_WORKER = re.compile(
    r"\bcelery\b.*\b(?:worker|beat)\b|\brq worker\b|\bqueue:(?:work|listen)\b|\bschedule:work\b"
    r"|\bhuey_consumer|\bdramatiq\b|\barq\b|\bsidekiq\b|\bworker\.(?:py|[cm]?[jt]s)\b"
)
_DEV_SERVER = re.compile(
    r"\bnext dev\b|\bnuxt dev\b|\bastro dev\b|\bng serve\b|\bnx serve\b|\bnodemon\b|\b(?:tsx|bun) (?:--)?watch\b"
    r"|\bts-node-dev\b|\bbun --hot\b|\breact-scripts start\b|\bvue-cli-service serve\b"
    r"|\bremix (?:vite:)?dev\b|\bvite(?: dev| serve)?(?: --(?:host|port|open)\S*(?: \S+)?)*$"
    r"|\bwebpack(?:-dev-server| serve)\b|\bnode --watch\b|\bconcurrently\b.*\bdev\b|\bparcel(?: serve)?\b"
)
_PORT_FLAGS = re.compile(
    r"(?:^|\s)(?:--port|-p|--server\.port|--bind|-b|--listen|-l|--http)[ =](?:[\w.\[\]]*:)?(\d{2,5})(?=\s|$)"
)
_ADDRESS = re.compile(r"(?:^|\s)(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::\])?:(\d{2,5})(?=\s|$)")


@dataclass(frozen=True)
class Place:
    """Where commands are read from: their variables, and what absolute paths stand for."""

    variables: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "."
    relative: Callable[[str, str], str | None] = join
    """From a folder and a path to a path relative to the app's root, None when outside."""
    rewrite: Callable[[str], str] = str
    """A word of a command with the image's paths replaced by the app's."""
    port_of: Callable[[str], int | None] = lambda _host: 80
    configs: tuple[str, ...] = ()
    """Files that the image copies to a web server's configuration, relative to the root."""


def start_plan(
    context: Context,
    found: Sequence[Command],
    source: str,
    *,
    name: str = "web",
    place: Place | None = None,
    port: int | None = None,
    prepare: Sequence[Step] = (),
) -> StartPlan | None:
    """A way to start from the commands of one declaration; None when nothing stays running."""
    place = place or Place()
    prepared = list(prepare)
    processes: list[Process] = []
    running = _followed(context, list(found), place, MAX_FOLLOWED)
    for index, command in enumerate(running):
        stays = command.background or index == len(running) - 1
        if stays:
            processes.extend(_processes(context, command, name, source, place))
        elif not is_noise(command):
            prepared.append(step(context, command, source, place))
    if not processes:
        return None
    return assemble(processes, prepared, source, port)


def assemble(
    processes: Sequence[Process], prepare: Sequence[Step], source: str, port: int | None
) -> StartPlan:
    """A start plan whose processes have distinct names and whose port is the app's own."""
    named: list[Process] = []
    for process in processes:
        taken = {one.name for one in named}
        label, number = process.name, 2
        while label in taken:
            label, number = f"{process.name}-{number}", number + 1
        named.append(process.model_copy(update={"name": label}))
    upstream = [route.upstream_port for one in named if one.site for route in one.site.routes]
    web = [one for one in named if one.role is Role.WEB]
    if web and upstream:
        port = upstream[0]
    elif len(web) != 1 or port is None:
        port = next((seen for one in web if (seen := port_in(one.argv))), port)
    if port is None:
        port = next((one.site.port for one in named if one.site), None)
    developing = [_DEV_SERVER.search(" ".join(one.argv)) for one in web]
    return StartPlan(
        prepare=tuple(prepare),
        processes=tuple(named),
        port=port,
        dev_server=any(developing),
        source=source,
    )


def step(context: Context, command: Command, source: str, place: Place) -> Step:
    """A command that ends."""
    argv = tuple(place.rewrite(word) for word in command.argv)
    return Step(
        name=" ".join(argv)[:60],
        argv=argv,
        cwd=command.cwd,
        env={**place.env, **command.env},
        package=context.package_of(argv, command.cwd),
        source=source,
    )


def is_noise(command: Command) -> bool:
    """Installs, which are done before, and commands that prepare nothing."""
    return is_install(command) or command.program in _TRIVIAL


def is_install(command: Command) -> bool:
    """Whether a command installs dependencies or packages of the system."""
    text = shell_script(command.argv) or command.text
    return _INSTALLS.match(text) is not None


def is_dev_server(text: str) -> bool:
    """Whether a script's text starts a development server."""
    return _DEV_SERVER.search(text) is not None


def port_in(argv: Sequence[str]) -> int | None:
    """The port that the flags of a command name."""
    text = " ".join(argv)
    match = _PORT_FLAGS.search(text) or _ADDRESS.search(text)
    port = int(match[1]) if match else 0
    return port if 0 < port < 65_536 else None


def role_of(name: str, command: Command) -> Role:
    """What a process does, from its name and its command."""
    if command.program in ("caddy", "nginx"):
        return Role.PROXY
    quiet = re.fullmatch(
        r"(?i)(?:.*[-_])?(?:worker|workers|beat|scheduler|queue|jobs|cron)\d*", name
    )
    return Role.WORKER if quiet or _WORKER.search(command.text) else Role.WEB


def _followed(context: Context, found: list[Command], place: Place, depth: int) -> list[Command]:
    """The same commands, with ``sh -c`` and entry scripts replaced by what is in them."""
    result: list[Command] = []
    for command in found:
        inner: Sequence[Command] | None = None
        if depth > 0:
            text = shell_script(command.argv)
            path = None if text is not None else script.script_path(context.tree, command)
            if text is not None:
                parsed = commands(text, place.variables, cwd=command.cwd, locate=place.relative)
                inner = parsed if parsed and parsed[0].argv[0] not in ("sh", "bash") else None
            elif path is not None:
                after = _arguments_after(command, path)
                inner = script.follow(
                    context.tree,
                    path,
                    after,
                    place.variables,
                    cwd=command.cwd,
                    locate=place.relative,
                )
        if inner:
            merged = [
                replace(
                    one,
                    env={**command.env, **one.env},
                    background=one.background or command.background,
                )
                for one in inner
            ]
            result.extend(_followed(context, merged, place, depth - 1))
        else:
            result.append(command)
    return result


def _arguments_after(command: Command, path: str) -> tuple[str, ...]:
    name = path.rsplit("/", 1)[-1]
    for index, word in enumerate(command.argv):
        if word.endswith(name):
            return command.argv[index + 1 :]
    return ()


def _processes(
    context: Context, command: Command, name: str, source: str, place: Place
) -> list[Process]:
    if command.program == "supervisord":
        path = _config(context, command, place, ("supervisord.conf", "supervisor.conf"))
        if path:
            label = path.rsplit("/", 1)[-1]
            return [
                process
                for program, inner in supervisor.programs(
                    context.tree, path, place.variables, place.relative
                )
                for process in _processes(
                    context,
                    replace(inner, env={**command.env, **inner.env}),
                    program,
                    f"{path if '/' in path else label}:[program:{program}]",
                    place,
                )
            ]
    role = role_of(name, command)
    site = site_of(context, command, place) if role is Role.PROXY else None
    argv = tuple(place.rewrite(word) for word in command.argv)
    return [
        Process(
            name=name,
            argv=argv,
            cwd=command.cwd,
            env={**place.env, **command.env},
            package=context.package_of(argv, command.cwd),
            role=role,
            site=site,
            source=source,
        )
    ]


def site_of(context: Context, command: Command, place: Place) -> ProxySite | None:
    """What the web server that ``command`` starts has to serve."""
    tree = context.tree

    def locate(path: str) -> str | None:
        return place.relative(command.cwd, path)

    if command.program == "caddy":
        if "file-server" in command.argv:
            words = list(command.argv)
            root = words[words.index("--root") + 1] if "--root" in words[:-1] else "."
            return ProxySite(port=port_in(command.argv) or 80, root=locate(root))
        path = _config(context, command, place, ("Caddyfile",))
        return proxy.caddy_site(tree.source(path), locate) if path else None
    candidates = [_config(context, command, place, ("nginx.conf", "default.conf"))]
    for path in (*place.configs, *(one for one in candidates if one)):
        site = proxy.nginx_site(tree.source(path), locate, place.port_of)
        if site is not None:
            return site
    default = place.relative("/", "/usr/share/nginx/html")
    return ProxySite(port=80, root=default) if default else None


def _config(context: Context, command: Command, place: Place, names: Sequence[str]) -> str | None:
    """The configuration that a command names by a flag, else one with a usual name."""
    for flag, value in pairwise(command.argv):
        if flag in ("-c", "--config", "--configuration"):
            path = place.relative(command.cwd, value)
            if path and context.tree.has(path):
                return path
            names = (value.rsplit("/", 1)[-1], *names)
    for name in names:
        path = context.tree.first(command.cwd, name) or context.tree.first(".", name)
        if path:
            return path
    endings = tuple(f"/{name}" for name in names)
    return next((path for path in context.tree.files if path.endswith(endings)), None)

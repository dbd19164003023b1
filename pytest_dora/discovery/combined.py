"""Apps in two parts: a server, and a client that is built to files or is a server of pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_dora.discovery import go, launch, node_start, python_code, static
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.node import NodeProject, at
from pytest_dora.discovery.python_code import Application, Framework
from pytest_dora.model.plan import Ecosystem, Process, ProxyRoute, StartPlan

MAX_FILES = 300
_PAGE_PORT = 3000
_APIS = frozenset({Framework.FASTAPI, Framework.FLASK, Framework.STARLETTE})
_SERVES_FILES = re.compile(
    r"StaticFiles\(|send_from_directory\(|static_folder\s*=|express\.static\(|serveStatic\(|serve-static"
    r"|@fastify/static|FileResponse\(|http\.FileServer|//go:embed|whitenoise"
)
_BUILT = re.compile(r"\b(?:dist|build|out|client|frontend|static|public)\b")
_DEFAULT_PORT = re.compile(
    r"(?:port\s*[:=]\s*(?:int\()?(?:\(?\s*(?:os\.(?:getenv|environ\.get)\(\s*[\"']\w*PORT[\"']\s*,\s*[\"']?))?"
    r"|PORT[\"']?\]?\s*\)?\s*(?:\|\||\?\?)\s*[\"']?|\.listen\(\s*|ListenAndServe\(\":)(\d{4,5})\b"
)
_CALLED_PORT = re.compile(r"https?://(?:localhost|127\.0\.0\.1):(\d{4,5})\b")
_CLIENT_PORTS = frozenset({3000, 4173, 4200, 5173})


@dataclass(frozen=True)
class _Server:
    """The part that answers calls: its process, its folder and its source files."""

    process: Process
    folder: str
    files: tuple[str, ...]


def starts(
    context: Context, applications: Mapping[str, tuple[Application, ...]]
) -> Iterator[StartPlan]:
    """One plan with both parts, when the server does not serve the client itself."""
    server = _server(context, applications)
    if server is None:
        return
    for project in context.node:
        if project.path == server.folder or node_start.server_command(context.tree, project):
            continue
        called = _called_port(context.tree, project)
        pages = node_start.page_server(context.tree, project)
        if pages is not None:
            port = called or _own_port(context.tree, server) or 8000
            source = f"{pages.source} + {server.process.source}"
            both = launch.assemble((pages, _fixed(server, port)), (), source, None)
            yield both.model_copy(update={"port": _PAGE_PORT})
            return
        site = node_start.site_process(context.tree, project, static.PORT)
        if site is None or site.site is None or _serves(context.tree, server, site):
            continue
        port = called or _own_port(context.tree, server) or 8000
        port = next((one.upstream_port for one in site.site.routes), port)
        routes = site.site.routes or (ProxyRoute(prefix="/api", upstream_port=port),)
        site = site.model_copy(update={"site": site.site.model_copy(update={"routes": routes})})
        source = f"{server.process.source} + {project.file}"
        yield launch.assemble((_fixed(server, port), site), (), source, port)
        return


def _fixed(server: _Server, port: int) -> Process:
    """The server at the port at which the client expects it."""
    process = server.process
    return process.model_copy(
        update={
            "name": "server",
            "argv": tuple(word.replace("{port}", str(port)) for word in process.argv),
            "env": {"PORT": str(port), **process.env},
        }
    )


def _server(
    context: Context, applications: Mapping[str, tuple[Application, ...]]
) -> _Server | None:
    tree = context.tree
    for project in context.python:
        found = applications[project.path]
        django = tree.has(at(project.path, "manage.py"))
        if not django and not (found and found[0].framework in _APIS):
            continue
        plan = next(iter(python_code.framework_starts(tree, project, found)), None)
        if plan is not None:
            return _Server(plan.processes[0], project.path, _files(tree, project.path, (".py",)))
    for node in node_start.ordered(context.node):
        command = node_start.server_command(tree, node)
        if command is None or (node.has("vite") and node_start.is_vite_client(tree, node)):
            continue
        plan = next(iter(node_start.script_starts([node])), None)
        process = Process(
            name="web", argv=command[0], cwd=node.path, package=node.package, source=command[1]
        )
        files = _files(tree, node.path, (".ts", ".js", ".mjs", ".cjs"))
        return _Server(plan.processes[0] if plan else process, node.path, files)
    for package in context.packages:
        if package.ecosystem is Ecosystem.GO:
            plan = next(iter(go.starts(tree, package)), None)
            if plan is not None:
                files = _files(tree, package.path, (".go",))
                return _Server(plan.processes[0], package.path, files)
    return None


def _files(tree: Tree, folder: str, endings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path for path in tree.below(folder) if path.endswith(endings))[:MAX_FILES]


def _serves(tree: Tree, server: _Server, site: Process) -> bool:
    """Whether the server itself serves the client's build."""
    root = site.site.root if site.site else None
    if root and server.folder != "." and root.startswith(f"{server.folder}/"):
        return True
    for path in server.files:
        text = tree.source(path)
        for match in _SERVES_FILES.finditer(text):
            around = text[max(0, match.start() - 200) : match.end() + 200]
            if _BUILT.search(around) and "uploads" not in around:
                return True
    return False


def _called_port(tree: Tree, project: NodeProject) -> int | None:
    """The port at which the client's own code calls the server."""
    endings = (".ts", ".tsx", ".js", ".jsx", ".mjs", ".vue", ".svelte")
    for path in _files(tree, project.path, endings):
        for match in _CALLED_PORT.finditer(tree.source(path)):
            if int(match[1]) not in _CLIENT_PORTS and int(match[1]) < 65_536:
                return int(match[1])
    return None


def _own_port(tree: Tree, server: _Server) -> int | None:
    """The port that the server takes when nobody tells it one."""
    for path in server.files:
        match = _DEFAULT_PORT.search(tree.source(path))
        if match and int(match[1]) < 65_536:
            return int(match[1])
    return None

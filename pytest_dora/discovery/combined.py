"""Apps in two parts: a server and a client that is built to files, behind one front door."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from pytest_dora.discovery import launch, node_start, python_code, static
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.parse import string, table
from pytest_dora.discovery.python import PythonProject
from pytest_dora.discovery.python_code import Application, Framework
from pytest_dora.model.plan import EntryModule, Process, ProxyRoute, Role, StartPlan

_SERVES_FILES = re.compile(
    r"StaticFiles\(|send_from_directory\(|static_folder\s*=|express\.static\(|serveStatic\(|serve-static"
    r"|@fastify/static|FileResponse\("
)
_BUILT = re.compile(r"\b(?:dist|build|out|client|frontend|static|public)\b")
_DEFAULT_PORT = re.compile(
    r"(?:port\s*[:=]\s*(?:int\()?(?:\(?\s*(?:os\.(?:getenv|environ\.get)\(\s*[\"']\w*PORT[\"']\s*,\s*[\"']?))?"
    r"|PORT[\"']?\]?\s*\)?\s*(?:\|\||\?\?)\s*[\"']?|\.listen\(\s*)(\d{4,5})\b"
)


def starts(
    context: Context, applications: Mapping[str, tuple[Application, ...]]
) -> Iterator[StartPlan]:
    """One plan with the server and the client's files, when the server does not serve them."""
    server = _server(context, applications)
    if server is None:
        return
    process, folder, files = server
    clients = [
        project
        for project in context.node
        if project.path != folder and node_start.server_command(context.tree, project) is None
    ]
    for project in clients:
        site = node_start.site_process(context.tree, project, static.PORT)
        if site is None or site.site is None or _serves(context.tree, files, site, folder):
            continue
        port = _server_port(context.tree, files, site)
        routes = site.site.routes or (ProxyRoute(prefix="/api", upstream_port=port),)
        site = site.model_copy(update={"site": site.site.model_copy(update={"routes": routes})})
        fixed = process.model_copy(
            update={
                "name": "server",
                "argv": tuple(word.replace("{port}", str(port)) for word in process.argv),
                "env": {"PORT": str(port), **process.env},
            }
        )
        source = f"{process.source} + {project.file}"
        yield launch.assemble((fixed, site), (), source, port)
        return


def entry_of_start(
    context: Context,
    project: PythonProject,
    start: StartPlan,
    applications: Sequence[Application],
) -> Iterator[EntryModule]:
    """The modules that a start command names: ``uvicorn module:app``, ``python file.py``."""
    tree = context.tree
    for process in start.processes:
        if process.package != project.path or process.role is Role.PROXY:
            continue
        target = _target(process.argv) or _script_target(process.argv, project)
        if target is None:
            continue
        if target.endswith(".py"):
            path = join(process.cwd, target)
        else:
            folder = _app_dir(process.argv)
            base = join(process.cwd, folder) or process.cwd
            module = join(base, target.replace(".", "/"))
            path = next(
                (one for one in (f"{module}.py", f"{module}/__init__.py") if tree.has(one)), None
            )
        if path is None or not tree.has(path):
            continue
        known = next((one for one in applications if one.path == path), None)
        if known is None:
            if not target.endswith(".py"):
                yield EntryModule(
                    module=target, cwd=process.cwd, package=project.path, source=process.source
                )
            continue
        if known.framework is Framework.STREAMLIT:
            continue
        yield from python_code.entry_modules(tree, project, (known,))


def _target(argv: Sequence[str]) -> str | None:
    """The module or file that a Python command line loads."""
    words = list(argv)
    if words[:2] in (["uv", "run"], ["poetry", "run"], ["pipenv", "run"]):
        words = [word for word in words[2:] if not word.startswith("--")]
    if not words:
        return None
    program = words[0].rsplit("/", 1)[-1]
    if re.fullmatch(r"python3?(?:\.\d+)?", program):
        words = [word for word in words if word not in ("-u", "-O")]
        if words[1:2] == ["-m"] and len(words) > 2:
            words = words[2:]
            program = words[0]
            if program not in ("uvicorn", "gunicorn", "hypercorn", "flask"):
                return program if program not in ("streamlit", "http.server") else None
        else:
            return next((word for word in words[1:] if word.endswith(".py")), None)
    if program in ("uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "waitress-serve"):
        for word in words[1:]:
            match = re.fullmatch(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*(?:\(\))?", word)
            if match:
                return match[1]
        if program == "gunicorn" and re.fullmatch(r"[A-Za-z_]\w*(?:\.\w+)*", words[-1]):
            return words[-1]
    if program == "flask":
        for flag, value in pairwise(words):
            if flag in ("--app", "-A"):
                return value.partition(":")[0]
    return None


def _script_target(argv: Sequence[str], project: PythonProject) -> str | None:
    """The module behind a console script of the project (``uv run start-server``)."""
    words = [word for word in argv if not word.startswith("-")]
    if words[:2] in (["uv", "run"], ["poetry", "run"]):
        words = words[2:]
    tables = (table(project.pyproject.get("project")), table(project.tool.get("poetry")))
    for one in tables:
        target = string(table(one.get("scripts")).get(words[0])) if words else None
        if target and re.fullmatch(r"[\w.]+:[\w.]+", target):
            return target.partition(":")[0]
    return None


def _app_dir(argv: Sequence[str]) -> str:
    for index, word in enumerate(argv[:-1]):
        if word in ("--app-dir", "--chdir"):
            return argv[index + 1]
    return "."


def _server(
    context: Context, applications: Mapping[str, tuple[Application, ...]]
) -> tuple[Process, str, tuple[str, ...]] | None:
    """The server's process, its folder, and its source files."""
    tree = context.tree
    for project in context.python:
        plan = next(
            iter(python_code.framework_starts(tree, project, applications[project.path])), None
        )
        if plan is not None:
            files = tuple(path for path in tree.below(project.path) if path.endswith(".py"))
            return plan.processes[0], project.path, files[:300]
    roots = [project for project in context.node if not project.member]
    if len(roots) < 2:
        return None
    for node in roots:
        plan = next(iter(node_start.script_starts([node])), None)
        command = node_start.server_command(tree, node)
        if command is None or (node.has("vite") and node_start.is_vite_client(tree, node)):
            continue
        files = tuple(
            path for path in tree.below(node.path) if path.endswith((".ts", ".js", ".mjs", ".cjs"))
        )
        if plan is not None:
            return plan.processes[0], node.path, files[:300]
        process = Process(
            name="web", argv=command[0], cwd=node.path, package=node.package, source=command[1]
        )
        return process, node.path, files[:300]
    return None


def _serves(tree: Tree, files: Sequence[str], site: Process, folder: str) -> bool:
    """Whether the server itself serves the client's build."""
    root = site.site.root if site.site else None
    if root and folder != "." and root.startswith(f"{folder}/"):
        return True
    for path in files:
        text = tree.source(path)
        for match in _SERVES_FILES.finditer(text):
            around = text[max(0, match.start() - 200) : match.end() + 200]
            if _BUILT.search(around) and "uploads" not in around:
                return True
    return False


def _server_port(tree: Tree, files: Sequence[str], site: Process) -> int:
    """The port at which the client expects the server."""
    for route in site.site.routes if site.site else ():
        return route.upstream_port
    for path in files:
        match = _DEFAULT_PORT.search(tree.source(path))
        if match and int(match[1]) < 65_536:
            return int(match[1])
    return 8000

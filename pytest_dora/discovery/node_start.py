"""How a Node project is started: its scripts, then the rules of its framework."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_dora.discovery import launch, nx, shell, static
from pytest_dora.discovery.context import Context
from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.node import NodeProject, at
from pytest_dora.discovery.node_build import CONFIG_ENDINGS, in_dependency_order, vite_output
from pytest_dora.discovery.parse import string
from pytest_dora.discovery.tsconfig import output_folder
from pytest_dora.model.plan import Manager, Process, ProxyRoute, StartPlan

START_SCRIPTS = ("start:prod", "start:production", "serve:prod", "start", "serve:ssr")
ENTRY_FILES = (
    "server/index", "src/server/index", "server", "src/server", "src/index", "index", "src/main",
    "src/app", "app", "main", "server/server", "server/main",
)  # fmt: skip
SERVER_LIBRARIES = (
    "express", "fastify", "koa", "@hapi/hapi", "hono", "@hono/node-server", "@trpc/server", "elysia",
    "@nestjs/core", "restify", "polka", "socket.io", "ws", "h3", "graphql-yoga", "apollo-server",
    "@apollo/server", "@databricks/appkit",
)  # fmt: skip
_PAGE_SERVERS = {
    "next": ("next", "start", "-p", "{port}", "-H", "127.0.0.1"),
    "nuxt": ("node", ".output/server/index.mjs"),
    "@sveltejs/adapter-node": ("node", "build"),
    "@remix-run/serve": ("remix-serve", "./build/server/index.js"),
    "@react-router/serve": ("react-router-serve", "./build/server/index.js"),
    "@astrojs/node": ("node", "dist/server/entry.mjs"),
}
_PAGE_BUILDERS = ("vite", "react-scripts", "astro", "@angular/core", "@vue/cli-service", "next")
_SERVES = re.compile(
    r"\.listen\(|createServer\(|createHTTPServer\(|\bserve\(|Bun\.serve\(|Deno\.serve\(|createApp\(\{"
)
_VITE_FLAGS = ("-c", "--config", "--outDir")
_PROXY = re.compile(
    r"""["'`](/[\w\-/]{0,60})["'`]\s*:\s*(?:["'`]https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0):(\d{2,5})"""
    r"""|\{([^{}]{0,600}?(?:\{[^{}]{0,200}\}[^{}]{0,300})?)\})"""
)
_TARGET = re.compile(r"target\s*:\s*[\"'`]https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0):(\d{2,5})")


def script_starts(projects: Sequence[NodeProject]) -> Iterator[StartPlan]:
    """Scripts that start a production server; the server's before the other projects'."""
    for project in projects:
        for name in START_SCRIPTS:
            text = project.scripts.get(name)
            if text is None or launch.is_dev_server(text) or _delegates_to_dev(text):
                continue
            yield _start(project, project.run(name), f"{project.file}:scripts.{name}")
            break


def framework_starts(
    context: Context, projects: Sequence[NodeProject], *, clients: bool
) -> Iterator[StartPlan]:
    """What the framework of each project would run in production.

    ``clients`` asks for pages without a server too, where nothing else serves.
    """
    tree = context.tree
    for project in projects:
        if project.members and not project.has("next", "vite", *SERVER_LIBRARIES):
            continue
        pages = _page_command(tree, project)
        if pages is not None:
            yield _start(project, pages, f"{project.file}:{_page_framework(project)}")
        elif project.has("next"):
            yield static.start(at(project.path, "out"), f"{project.file}:next", fallback="404.html")
        elif built := nx.projects(tree, project):
            yield from _nx(project, built, clients=clients)
        else:
            server = server_command(tree, project)
            if server is not None:
                yield _start(project, server[0], server[1])
            if clients:
                yield from client_starts(tree, project)


def client_starts(tree: Tree, project: NodeProject) -> Iterator[StartPlan]:
    """Projects that build to files only."""
    local = ("--port", "{port}", "--host", "127.0.0.1")
    if project.has("astro"):
        yield _start(project, ("astro", "preview", *local), f"{project.file}:astro")
    elif project.has("react-scripts"):
        root = at(project.path, "build")
        yield static.start(root, f"{project.file}:react-scripts", fallback="index.html")
    elif project.has("@vue/cli-service"):
        root = at(project.path, "dist")
        yield static.start(root, f"{project.file}:@vue/cli-service", fallback="index.html")
    elif project.has("vite") and (is_vite_client(tree, project) or project.has("@sveltejs/kit")):
        preview = project.scripts.get("preview")
        source = f"{project.file}:scripts.preview" if preview else f"{project.file}:vite"
        yield _start(project, ("vite", "preview", *_vite_flags(project), *local), source)
    elif project.has("@angular/core"):
        output = _angular_output(tree, project)
        if output:
            yield static.start(output, f"{project.file}:@angular/core", fallback="index.html")


def dev_starts(projects: Sequence[NodeProject]) -> Iterator[StartPlan]:
    """Development servers, the last resort."""
    for project in projects:
        for name in ("start", "dev", "serve"):
            text = project.scripts.get(name)
            if text is None or (name == "start" and not launch.is_dev_server(text)):
                continue
            plan = _start(project, project.run(name), f"{project.file}:scripts.{name}")
            yield plan.model_copy(update={"dev_server": True})
            break


def server_command(tree: Tree, project: NodeProject) -> tuple[tuple[str, ...], str] | None:
    """The command that runs the project's server, from what is built or from its sources."""
    return tree.remember("server", project.path, lambda: _server_command(tree, project))


def _server_command(tree: Tree, project: NodeProject) -> tuple[tuple[str, ...], str] | None:
    main = string(project.manifest.get("main"))
    source = server_file(tree, project)
    if source is None and main and project.has(*SERVER_LIBRARIES):
        return ("node", main), f"{project.file}:main"
    if source is None:
        return None
    relative = source if project.path == "." else source.removeprefix(f"{project.path}/")
    if source.endswith((".js", ".mjs", ".cjs")):
        program = "bun" if project.manager is Manager.BUN and _imports_bun(tree, source) else "node"
        return (program, relative), source
    if project.manager is Manager.BUN or project.has("@types/bun", "bun-types"):
        return ("bun", "run", relative), source
    output = _built_file(tree, project, relative)
    if output is not None:
        return ("node", output), source
    if project.has("tsx"):
        return ("tsx", relative), source
    if project.has("ts-node"):
        return ("ts-node", relative), source
    return None


def server_file(tree: Tree, project: NodeProject) -> str | None:
    """The source file that opens the server."""
    if not project.has(*SERVER_LIBRARIES) and project.has("vite", "next", "react-scripts"):
        return None
    for stem in ENTRY_FILES:
        for ending in ("ts", "js", "mjs", "cjs", "mts"):
            path = tree.first(project.path, f"{stem}.{ending}")
            if path and _owns(tree, project, path) and _SERVES.search(tree.source(path)):
                return path
    return None


def _owns(tree: Tree, project: NodeProject, path: str) -> bool:
    """Whether no manifest lies between the project's folder and a file."""
    folder = path.rpartition("/")[0] or "."
    while folder not in (project.path, "."):
        if tree.first(folder, "package.json"):
            return False
        folder = folder.rpartition("/")[0] or "."
    return True


def page_server(tree: Tree, project: NodeProject) -> Process | None:
    """The process of a framework that serves pages by a server of its own (Next and its like)."""
    command = _page_command(tree, project)
    if command is None:
        return None
    source = f"{project.file}:{_page_framework(project)}"
    return Process(
        name="pages", argv=command, cwd=project.path, package=project.package, source=source
    )


def serves(tree: Tree, project: NodeProject) -> bool:
    """Whether the project has a server, of its own or of its framework."""
    return bool(server_command(tree, project) or _page_command(tree, project))


def is_only_pages(tree: Tree, project: NodeProject) -> bool:
    """Whether the project is a client that is built to files and has no server."""
    return project.has(*_PAGE_BUILDERS) and not serves(tree, project)


def bare_server(tree: Tree) -> str | None:
    """A script for Node that opens a server, in a folder without a package.json."""
    for name in ("server", "index", "app", "main"):
        path = tree.first(".", f"{name}.js", f"{name}.mjs", f"{name}.cjs")
        text = tree.source(path) if path else ""
        if re.search(r"createServer\(|\.listen\(", text) and re.search(
            r"\brequire\(|^import ", text
        ):
            return path
    return None


def is_vite_client(tree: Tree, project: NodeProject) -> bool:
    """Whether vite builds a page here and not only a library or a server."""
    if tree.first(project.path, "index.html", "client/index.html", "frontend/index.html"):
        return True
    return any(
        path.endswith("/index.html") and path.count("/") <= 2 for path in tree.below(project.path)
    ) and bool(tree.first(project.path, *(f"vite.config.{end}" for end in CONFIG_ENDINGS)))


def proxy_routes(tree: Tree, project: NodeProject) -> tuple[ProxyRoute, ...]:
    """Paths that the development server passes on, which production has to pass on as well."""
    config = tree.first(project.path, *(f"vite.config.{end}" for end in CONFIG_ENDINGS))
    text = tree.source(config) if config else ""
    routes: list[ProxyRoute] = []
    _, _, section = text.partition("proxy")
    for match in _PROXY.finditer(section[:6_000]):
        target = _TARGET.search(match[3] or "")
        port = match[2] or (target[1] if target else None)
        if port and int(port) < 65_536:
            strip = "rewrite" in (match[3] or "")
            routes.append(
                ProxyRoute(
                    prefix=match[1].rstrip("/") or "/", strip_prefix=strip, upstream_port=int(port)
                )
            )
    setting = string(project.manifest.get("proxy"))
    if setting and (plain := re.search(r":(\d{2,5})", setting)) and not routes:
        routes.append(ProxyRoute(prefix="/api", upstream_port=int(plain[1])))
    return tuple(routes)


def site_process(tree: Tree, project: NodeProject, port: int) -> Process | None:
    """The built client of a project as files behind a stand-in, with its routes."""
    if project.has("react-scripts"):
        root: str | None = at(project.path, "build")
    elif project.has("vite") and is_vite_client(tree, project):
        root = vite_output(tree, project, project.scripts.get("build", ""))
    elif project.has("@vue/cli-service"):
        root = at(project.path, "dist")
    else:
        return None
    if root is None:
        return None
    return static.process_of(
        root,
        project.file,
        port=port,
        fallback="index.html",
        routes=proxy_routes(tree, project),
        name="client",
    )


def ordered(projects: Sequence[NodeProject]) -> list[NodeProject]:
    """Roots first, then members from the server back to the libraries."""
    roots = [project for project in projects if not project.member]
    members = [project for project in projects if project.member]
    return [*roots, *reversed(in_dependency_order(members))]


def _nx(
    project: NodeProject, built: Sequence[nx.NxProject], *, clients: bool
) -> Iterator[StartPlan]:
    """The built servers, else the built pages; ``nx serve`` is for development."""
    for one in built:
        if one.serves:
            output = one.output if project.path == "." else one.output[len(project.path) + 1 :]
            yield _start(project, ("node", f"{output}/main.js"), one.file)
        elif clients:
            yield static.start(one.output, one.file, fallback="index.html")


def _page_framework(project: NodeProject) -> str | None:
    return next((name for name in _PAGE_SERVERS if project.has(name)), None)


def _page_command(tree: Tree, project: NodeProject) -> tuple[str, ...] | None:
    """How the framework serves its pages in production; None when they are files only."""
    name = _page_framework(project)
    config = tree.first(project.path, *(f"next.config.{end}" for end in CONFIG_ENDINGS))
    exported = re.compile(r"output\s*:\s*[\"']export[\"']")
    if name is None or (name == "next" and config and exported.search(tree.source(config))):
        return None
    return _PAGE_SERVERS[name]


def _vite_flags(project: NodeProject) -> tuple[str, ...]:
    """Root and configuration that the build script gives to vite."""
    text = project.scripts.get("build", "")
    for name, script in project.scripts.items():
        if name.startswith("build") and "vite build" in script:
            text = script
    for command in shell.commands(text):
        if command.program == "vite":
            words = [word for word in command.argv[1:] if word not in ("build", "--emptyOutDir")]
            kept: list[str] = []
            for index, word in enumerate(words):
                value = index == 0 or words[index - 1] in _VITE_FLAGS
                if word in _VITE_FLAGS or (value and not word.startswith("-")):
                    kept.append(word)
            return tuple(kept)
    return ()


def _delegates_to_dev(text: str) -> bool:
    match = re.search(r"(?:npm run|pnpm|yarn|bun run) (dev[\w:-]*)", text)
    return match is not None


def _built_file(tree: Tree, project: NodeProject, relative: str) -> str | None:
    """Where the build of the project leaves the server's file."""
    build = " ".join(text for name, text in project.scripts.items() if name.startswith("build"))
    out = re.search(r"--out(?:dir|file)[= ](\S{1,100})", build)
    stem = re.sub(r"\.[cm]?ts$", "", relative)
    name = stem.rsplit("/", 1)[-1]
    if out:
        target = out[1]
        return (
            target
            if target.endswith((".js", ".mjs", ".cjs"))
            else f"{target.rstrip('/')}/{name}.js"
        )
    if re.search(r"\btsc\b", build):
        config = tree.first(
            project.path, "tsconfig.build.json", "tsconfig.server.json", "tsconfig.json"
        )
        folder = output_folder(tree, config) if config else None
        if folder:
            inside = folder if project.path == "." else folder.removeprefix(f"{project.path}/")
            text = tree.source(config) if config else ""
            root = re.search(r"\"rootDir\"\s*:\s*\"\.?/?(\w[\w/]*)?/?\"", text)
            base = root[1] if root and root[1] else "src"
            return f"{inside}/{stem.removeprefix(f'{base}/')}.js"
    if re.search(r"\b(?:tsup|tsdown|esbuild|rollup|unbuild|ncc|nest build)\b", build):
        main = string(project.manifest.get("main"))
        if main and join(".", main):
            return main
        ending = "mjs" if "tsdown" in build and project.manifest.get("type") != "module" else "js"
        return f"dist/{name}.{ending}"
    return None


def _imports_bun(tree: Tree, path: str) -> bool:
    return re.search(r"Bun\.|from [\"']bun[\"':]", tree.source(path)) is not None


def _angular_output(tree: Tree, project: NodeProject) -> str | None:
    config = tree.first(project.path, "angular.json")
    if not config:
        return None
    match = re.search(r"\"outputPath\"\s*:\s*\"([\w./\-]{1,100})\"", tree.source(config))
    names = re.search(r"\"projects\"\s*:\s*\{\s*\"([\w\-]{1,80})\"", tree.source(config))
    base = match[1] if match else f"dist/{names[1]}" if names else None
    if base is None:
        return None
    browser = '"@angular/build:application"' in tree.source(
        config
    ) or ':application"' in tree.source(config)
    return at(project.path, f"{base}/browser" if browser else base)


def _start(project: NodeProject, argv: tuple[str, ...], source: str) -> StartPlan:
    process = Process(
        name="web", argv=argv, cwd=project.path, package=project.package, source=source
    )
    return StartPlan(processes=(process,), port=launch.port_in(argv), source=source)

"""Which Python files hold a web application, and how each of them is started."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from posixpath import basename, dirname

from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.node import at
from pytest_dora.discovery.parse import string, table
from pytest_dora.discovery.python import PythonProject, normal
from pytest_dora.model.plan import EntryModule, Manager, Process, StartPlan


class Framework(StrEnum):
    """What a file serves its pages with; also the name in ``Plan.stack``."""

    STREAMLIT = "streamlit"
    NICEGUI = "nicegui"
    GRADIO = "gradio"
    SHINY = "shiny"
    DASH = "dash"
    FASTAPI = "fastapi"
    FLASK = "flask"
    STARLETTE = "starlette"
    DJANGO = "django"


@dataclass(frozen=True)
class Application:
    """One file that is or makes a web application."""

    path: str
    framework: Framework
    variable: str | None = None
    """The module-level name, ``create_app()`` for a factory."""
    runs_itself: bool = False
    """``python file.py`` starts the server."""
    runs_on_import: bool = False
    """Importing it starts the server, so it cannot serve as an entry module."""


PREFERRED = ("main", "app", "server", "application", "wsgi", "asgi", "run", "index", "api")
_ROOTS = ("", "src/", "app/", "backend/", "server/", "api/")
_CONSTRUCTOR = re.compile(
    r"(?m)^(?P<name>[A-Za-z_]\w{0,60})\s*(?::\s*[\w.\[\]]+\s*)?=\s*(?:[\w.]{1,60}\.)?"
    r"(?P<kind>FastAPI|Flask|APIFlask|Quart|Starlette|Litestar|Dash|Sanic)\("
)
_KIND = {
    "FastAPI": Framework.FASTAPI,
    "Starlette": Framework.STARLETTE,
    "Litestar": Framework.STARLETTE,
    "Quart": Framework.STARLETTE,
    "Sanic": Framework.STARLETTE,
    "Flask": Framework.FLASK,
    "APIFlask": Framework.FLASK,
    "Dash": Framework.DASH,
}
_FACTORY = re.compile(r"(?m)^(?:async )?def (create_app|make_app|get_app|create_application)\(")
_FROM_FACTORY = re.compile(
    r"(?m)^([A-Za-z_]\w{0,60})\s*=\s*(?:[\w.]{1,60}\.)?(?:create_app|make_app|create_application)\("
)
_STREAMLIT = re.compile(r"(?m)^(?:import streamlit|from streamlit)\b")
_STREAMLIT_CALL = re.compile(r"(?m)^[ \t]*st\.\w+|\bst\.(?:title|write|set_page)")
_NICEGUI_RUN = re.compile(r"(?m)^([ \t]*)ui\.run\(")
_GRADIO = re.compile(r"(?m)^(?:import gradio|from gradio)\b")
_GRADIO_LAUNCH = re.compile(r"(?m)^([ \t]*)\w[\w.]*\.launch\(")
_SHINY = re.compile(r"(?m)^([A-Za-z_]\w*)\s*=\s*(?:shiny\.)?App\(|^from shiny\.express\b")
_RUN_CALL = re.compile(
    r"(?m)^([ \t]*)(?!subprocess\.|asyncio\.|os\.)(?:[\w.]{1,60}\.)?(?:run|run_server|serve|launch)\("
)
_MAIN_GUARD = re.compile(r"(?m)^if\s+__name__\s*(?:==|in)")
_SERVER_SCRIPT = re.compile(r"(?:^|[-_])(?:start|serve|server|run|web|app|main|prod)(?:$|[-_])")
_TEST_OR_TOOL = re.compile(
    r"(?:^|/)(?:tests?|migrations|alembic|scripts|examples|docs)/|(?:^|/)(?:test_|conftest)"
)


def applications(
    tree: Tree, project: PythonProject, inner: Sequence[str]
) -> tuple[Application, ...]:
    """Files with an application, the likeliest entry first; ``inner`` are other projects."""
    found: list[Application] = []
    for path in tree.below(project.path):
        if not path.endswith(".py") or _TEST_OR_TOOL.search(path):
            continue
        if any(path.startswith(f"{folder}/") for folder in inner):
            continue
        application = _application(tree, path)
        if application is not None:
            found.append(application)
    pages = [one for one in found if one.framework is Framework.STREAMLIT]
    for page in pages if len(pages) > 1 else ():
        stem = basename(page.path).removesuffix(".py")
        imported = re.compile(rf"(?m)^\s*(?:from|import) (?:[\w.]+\.)?{re.escape(stem)}\b")
        if any(imported.search(tree.source(one.path)) for one in pages if one is not page):
            found.remove(page)
    return tuple(sorted(found, key=lambda one: _rank(one, project.path)))


def framework_starts(
    tree: Tree, project: PythonProject, found: Sequence[Application]
) -> Iterator[StartPlan]:
    """Ways to start the project by the rules of its framework, best first."""
    manage = at(project.path, "manage.py")
    if tree.has(manage) and "django" in tree.source(manage):
        wsgi = next((path for path in tree.below(project.path) if path.endswith("/wsgi.py")), None)
        if wsgi and project.has("gunicorn"):
            _, module = module_of(tree, project.path, wsgi)
            yield _start(("gunicorn", "--bind", "127.0.0.1:{port}", module), project, wsgi)
        yield _start(
            ("python", "manage.py", "runserver", "--noreload", "127.0.0.1:{port}"),
            project,
            manage,
            dev_server=True,
        )
        return
    yielded: set[tuple[str, ...]] = set()
    for name, _ in console_scripts(project):
        source = f"{at(project.path, 'pyproject.toml')}:scripts.{name}"
        runner = ("uv", "run") if project.manager is Manager.UV else ()
        if project.installs_project:
            yield _start((*runner, name), project, source)
    likely = [
        one for one in found if _rank(one, project.path)[:3] == _rank(found[0], project.path)[:3]
    ]
    for application in likely[:3]:
        for argv, source in _commands(tree, project, application):
            if argv not in yielded:
                yielded.add(argv)
                yield _start(argv, project, source)
    if not found:
        for name in ("main.py", "app.py", "server.py", "run.py"):
            path = at(project.path, name)
            if tree.has(path):
                yield _start(("python", name), project, path)
                return


def entry_modules(
    tree: Tree, project: PythonProject, found: Sequence[Application]
) -> tuple[EntryModule, ...]:
    """Modules whose import shows that the installed dependencies fit the code."""
    if not found:
        return ()
    best = found[0]
    if best.framework is Framework.STREAMLIT:
        return ()
    if not best.runs_on_import:
        cwd, module = module_of(tree, project.path, best.path)
        return (EntryModule(module=module, cwd=cwd, package=project.path, source=best.path),)
    return tuple(
        EntryModule(module=module, cwd=project.path, package=project.path, source=best.path)
        for module in _local_imports(tree, project.path, best.path)[:5]
    )


def module_of(tree: Tree, base: str, path: str) -> tuple[str, str]:
    """The folder to start from and the dotted name of a module."""
    relative = path if base == "." else path.removeprefix(f"{base}/")
    parts = relative.removesuffix(".py").split("/")
    cwd = base
    if parts[0] == "src" and len(parts) > 1 and not tree.has(at(base, "src/__init__.py")):
        cwd, parts = at(base, "src"), parts[1:]
    plain = len(parts) == 2 and not tree.has(at(cwd, f"{parts[0]}/__init__.py"))
    if plain and not _used_as_package(tree, base, cwd, parts[0]):
        cwd, parts = at(cwd, parts[0]), parts[1:]
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    return cwd, ".".join(parts)


def _used_as_package(tree: Tree, base: str, cwd: str, name: str) -> bool:
    """Whether a folder without ``__init__.py`` is still imported as a package."""
    absolute = re.compile(
        rf"(?m)^\s*(?:from|import) {re.escape(name)}[. ]|[\"']{re.escape(name)}\.[\w.]+:"
    )
    relative = re.compile(r"(?m)^\s*from \.")
    folder = f"{at(cwd, name)}/"
    for path in tree.below(base):
        if path.endswith(".py"):
            text = tree.source(path)
            if absolute.search(text) or (path.startswith(folder) and relative.search(text)):
                return True
    return absolute.search(tree.source(at(base, "pyproject.toml"))) is not None


def console_scripts(project: PythonProject) -> tuple[tuple[str, str], ...]:
    """Names and targets of ``[project.scripts]`` that sound like a server."""
    tables = (table(project.pyproject.get("project")), table(project.tool.get("poetry")))
    declared = {str(key): val for one in tables for key, val in table(one.get("scripts")).items()}
    named = string(tables[0].get("name")) or string(tables[1].get("name")) or ""
    return tuple(
        (name, target)
        for name, value in list(declared.items())[:50]
        if (target := string(value)) is not None
        and (_SERVER_SCRIPT.search(name) or normal(name) == normal(named))
    )


def _application(tree: Tree, path: str) -> Application | None:
    text = tree.source(path)
    for recognise in (_script, _constructed, _page, _factory):
        found = recognise(path, text) if text else None
        if found is not None:
            return found
    return None


def _script(path: str, text: str) -> Application | None:
    """Streamlit and NiceGUI, whose files are programs."""
    if _STREAMLIT.search(text) and _STREAMLIT_CALL.search(text):
        return Application(path, Framework.STREAMLIT)
    runs = _NICEGUI_RUN.search(text)
    if runs:
        on_import = not runs[1] and not _MAIN_GUARD.search(text)
        return Application(path, Framework.NICEGUI, None, True, on_import)
    return None


def _constructed(path: str, text: str) -> Application | None:
    """``app = FastAPI()`` and its like at the top of a module."""
    constructor = _CONSTRUCTOR.search(text)
    if constructor is None:
        return None
    framework = _KIND[constructor["kind"]]
    dash_server = framework is Framework.DASH and re.search(r"(?m)^server\s*=", text)
    variable = "server" if dash_server else constructor["name"]
    return Application(path, framework, variable, _runs_itself(text), _runs_on_import(text))


def _page(path: str, text: str) -> Application | None:
    """Gradio and Shiny."""
    if _GRADIO.search(text) and _GRADIO_LAUNCH.search(text):
        return Application(path, Framework.GRADIO, None, True, _runs_on_import(text))
    shiny = _SHINY.search(text) if "shiny" in text else None
    return Application(path, Framework.SHINY, shiny[1] or "app") if shiny else None


def _factory(path: str, text: str) -> Application | None:
    """``app = create_app()``, else the function that makes the application."""
    made = _FROM_FACTORY.search(text)
    if made:
        framework = _framework_of_factory(text)
        return Application(path, framework, made[1], _runs_itself(text), _runs_on_import(text))
    function = _FACTORY.search(text)
    if function and re.search(r"\b(?:FastAPI|Flask|Starlette|Quart|Dash)\(", text):
        framework = _framework_of_factory(text)
        return Application(path, framework, f"{function[1]}()", _runs_itself(text))
    return None


def _runs_itself(text: str) -> bool:
    """A run call at the top, or one in a function of a file that is meant to be run."""
    guarded = _MAIN_GUARD.search(text) is not None
    return any(guarded or not match[1] for match in _RUN_CALL.finditer(text))


def _runs_on_import(text: str) -> bool:
    return any(not match[1] for match in _RUN_CALL.finditer(text))


def _framework_of_factory(text: str) -> Framework:
    return (
        Framework.FASTAPI
        if re.search(r"(?i)\b(?:fastapi|uvicorn|starlette)\b", text)
        else Framework.FLASK
    )


def _rank(application: Application, base: str) -> tuple[int, int, int, int, str]:
    relative = application.path if base == "." else application.path.removeprefix(f"{base}/")
    folder, _, name = relative.rpartition("/")
    stem = name.removesuffix(".py")
    stem = basename(folder) if stem == "__init__" and folder else stem
    known = PREFERRED.index(stem) if stem in PREFERRED else len(PREFERRED)
    if stem.startswith(("streamlit", "app")) or stem.endswith("_app"):
        known = min(known, len(PREFERRED) - 1)
    pages = 1 if re.search(r"(?:^|/)(?:pages|views|components)/", relative) else 0
    root = 0 if f"{folder}/" in _ROOTS or not folder else 1
    factory = 1 if application.variable and application.variable.endswith("()") else 0
    old = 1 if re.search(r"(?i)(?:old|backup|copy|example|demo)", stem) else 0
    return (old + pages + factory, root, folder.count("/") + bool(folder), known, relative)


def _commands(
    tree: Tree, project: PythonProject, application: Application
) -> Iterator[tuple[tuple[str, ...], str]]:
    path = (
        application.path
        if project.path == "."
        else application.path.removeprefix(f"{project.path}/")
    )
    script = ("python", path)
    cwd, module = module_of(tree, project.path, application.path)
    place = () if cwd == project.path else ("--app-dir", cwd.removeprefix(f"{project.path}/"))
    name = application.variable or "app"
    source = f"{application.path}:{application.framework}"
    uvicorn = ("uvicorn", *place, *(("--factory",) if name.endswith("()") else ()))
    serve = (
        *uvicorn,
        f"{module}:{name.removesuffix('()')}",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
    )
    match application.framework:
        case Framework.STREAMLIT:
            flags = ("--server.port", "{port}", "--server.headless", "true")
            yield ("streamlit", "run", path, *flags, "--server.address", "127.0.0.1"), source
        case Framework.SHINY:
            yield (
                ("shiny", "run", "--host", "127.0.0.1", "--port", "{port}", f"{path}:{name}"),
                source,
            )
        case Framework.FASTAPI | Framework.STARLETTE:
            if project.has("uvicorn", "fastapi") or not application.runs_itself:
                yield serve, source
            if application.runs_itself:
                yield script, source
        case Framework.FLASK:
            target = path if not name.endswith("()") else f"{module}:{name}"
            if application.runs_itself and not project.has("gunicorn"):
                yield script, source
            if project.has("gunicorn") and not place:
                yield ("gunicorn", "--bind", "127.0.0.1:{port}", f"{module}:{name}"), source
            yield (
                ("flask", "--app", target, "run", "--host", "127.0.0.1", "--port", "{port}"),
                source,
            )
            if application.runs_itself and project.has("gunicorn"):
                yield script, source
        case _:
            yield script, source


def _start(
    argv: tuple[str, ...], project: PythonProject, source: str, *, dev_server: bool = False
) -> StartPlan:
    process = Process(name="web", argv=argv, cwd=project.path, package=project.path, source=source)
    return StartPlan(processes=(process,), dev_server=dev_server, source=source)


def _local_imports(tree: Tree, base: str, path: str) -> list[str]:
    """Dotted names of the project's own modules that a file imports."""
    folder = dirname(path) or "."
    found: list[str] = []
    for match in re.finditer(
        r"(?m)^(?:from\s+([\w.]{1,100})\s+import|import\s+([\w.]{1,100}))", tree.source(path)
    ):
        name = match[1] or match[2]
        inner = join(folder, name.strip(".").replace(".", "/"))
        if not inner or not (tree.has(f"{inner}.py") or tree.has(f"{inner}/__init__.py")):
            continue
        if name not in found and base == folder:
            found.append(name)
    return found

"""Python projects: manager, manifests, interpreter, groups, and the names they depend on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import dirname
from typing import Any

from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.node import APP_FOLDERS, at
from pytest_dora.discovery.parse import string, strings, table
from pytest_dora.model.plan import Ecosystem, Manager, Package

MAX_NESTED_DEPTH = 2
_TEST_GROUPS = re.compile(
    r"(?i)(?:^|[-_])(?:dev|develop|development|test|tests|testing|lint|typing|types|qa|ci)(?:$|[-_])"
)
_MAIN_REQUIREMENTS = ("requirements.txt", "requirements.in", "requirements/base.txt")
_DEV_REQUIREMENTS = re.compile(
    r"(?:requirements[-_.]?(?:dev|test|tests|testing|develop)|(?:dev|test)[-_]requirements"
    r"|requirements/(?:dev|test|tests|testing|development|local))\.txt"
)
_PRODUCTION_REQUIREMENTS = ("requirements/prod.txt", "requirements/production.txt")
_REQUIREMENT = re.compile(
    r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,99})\s*(?:\[[^\]]*\])?\s*(?=[<>=!~;@#\s,(]|$)"
)
_INCLUDED = re.compile(r"\s*(?:-r|--requirement)[ =]\s*(\S{1,200})")
_MARKERS = ("pyproject.toml", "requirements.txt", "Pipfile", "setup.py", "uv.lock", "poetry.lock")


@dataclass(frozen=True)
class PythonProject:
    """One folder whose Python dependencies are installed together."""

    path: str
    manager: Manager
    names: frozenset[str]
    dev_names: frozenset[str]
    pyproject: Mapping[str, Any]
    requirement_files: tuple[str, ...]
    installs_project: bool = False

    def has(self, *names: str) -> bool:
        """Whether any of the distributions (in normal form) is required, also for development."""
        return any(name in self.names or name in self.dev_names for name in names)

    @property
    def tool(self) -> Mapping[str, Any]:
        """The ``[tool]`` table of pyproject.toml."""
        return table(self.pyproject.get("tool"))


def normal(name: str) -> str:
    """A distribution's name in normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find(tree: Tree, *, leftovers: bool) -> tuple[tuple[Package, ...], tuple[PythonProject, ...]]:
    """The Python packages of the app and what they depend on."""
    folders = sorted(
        {
            (dirname(path) or ".").removesuffix("/requirements")
            for path in tree.files
            if path.rsplit("/", 1)[-1] in _MARKERS or path.endswith("requirements/base.txt")
            if path.count("/") <= MAX_NESTED_DEPTH
        }
        | ({"."} if tree.has("manage.py") else set()),
        key=lambda folder: (folder != ".", folder.count("/"), folder),
    )
    packages: list[Package] = []
    projects: list[PythonProject] = []
    members: set[str] = set()
    for folder in folders:
        if folder in members or not _is_project(tree, folder):
            continue
        if not _belongs(tree, folder, projects, leftovers=leftovers):
            tree.note(f"{folder}: a Python project that nothing names, ignored")
            continue
        package, project = _read(tree, folder)
        packages.append(package)
        projects.append(project)
        members.update(package.members)
    return tuple(packages), tuple(projects)


def without_manifest(tree: Tree) -> tuple[tuple[Package, ...], tuple[PythonProject, ...]]:
    """A folder of Python files that names no dependencies: it may only use what Python has."""
    file = tree.first(".", *(f"{name}.py" for name in ("main", "app", "server", "run", "wsgi")))
    if file is None:
        return (), ()
    tree.note(f"{file}: a Python program without requirements.txt or pyproject.toml")
    package = Package(
        ecosystem=Ecosystem.PYTHON,
        manager=Manager.PIP,
        runtime_requires=_interpreter(tree, ".", {}),
        source=file,
    )
    project = PythonProject(".", Manager.PIP, frozenset(), frozenset(), {}, ())
    return (package,), (project,)


def requirement_names(text: str) -> Iterator[str]:
    """Normal names of the distributions that a requirements file or list asks for."""
    for line in text.split("\n")[:5_000]:
        if line.lstrip().startswith(("#", "-")):
            continue
        match = _REQUIREMENT.match(line)
        if match:
            yield normal(match[1])
        elif egg := re.search(r"#egg=([\w.\-]{1,99})", line):
            yield normal(egg[1])


def _is_project(tree: Tree, folder: str) -> bool:
    """A pyproject.toml that only configures tools installs nothing."""
    pyproject = at(folder, "pyproject.toml")
    if any(
        tree.first(folder, name)
        for name in (*_MAIN_REQUIREMENTS, "Pipfile", "setup.py", "manage.py")
    ):
        return True
    content = tree.toml(pyproject)
    tools = table(content.get("tool"))
    return bool(content.get("project") or tools.get("poetry") or content.get("dependency-groups"))


def _belongs(
    tree: Tree, folder: str, projects: Sequence[PythonProject], *, leftovers: bool
) -> bool:
    if folder == ".":
        return True
    if any(project.path == "." or folder.startswith(f"{project.path}/") for project in projects):
        return folder.rsplit("/", 1)[-1] in APP_FOLDERS and _starts_something(tree, folder)
    if leftovers:
        return False
    depth = folder.count("/")
    return depth == 0 or folder.rsplit("/", 1)[-1] in APP_FOLDERS


def _starts_something(tree: Tree, folder: str) -> bool:
    names = ("main.py", "app.py", "server.py", "manage.py", "wsgi.py", "asgi.py", "app/main.py")
    return tree.first(folder, *names) is not None


def _read(tree: Tree, folder: str) -> tuple[Package, PythonProject]:
    pyproject = tree.toml(at(folder, "pyproject.toml"))
    tools = table(pyproject.get("tool"))
    requirements = _requirement_files(tree, folder)
    manager, lockfile, manifests, source = _manager(tree, folder, pyproject, requirements)
    names, dev_names, groups = _declared_names(tree, folder, pyproject)
    build_backend = string(table(pyproject.get("build-system")).get("build-backend"))
    uv = table(tools.get("uv"))
    packaged = (
        uv.get("package") is not False
        and table(tools.get("poetry")).get("package-mode") is not False
    )
    package = Package(
        path=folder,
        ecosystem=Ecosystem.PYTHON,
        manager=manager,
        lockfile=lockfile,
        runtime_requires=_interpreter(tree, folder, pyproject),
        manifests=manifests,
        groups=groups,
        installs_project=_installs_project(tree, folder, pyproject, manager)
        if packaged and (build_backend or manager is Manager.PIP)
        else False,
        members=_members(tree, folder, uv),
        extra_requirements=_pipfile(tree, folder) if source.endswith("Pipfile") else (),
        source=source,
    )
    project = PythonProject(
        path=folder,
        manager=manager,
        names=frozenset(names),
        dev_names=frozenset(dev_names),
        pyproject=pyproject,
        requirement_files=requirements,
        installs_project=package.installs_project,
    )
    return package, project


def _manager(
    tree: Tree, folder: str, pyproject: Mapping[str, Any], requirements: tuple[str, ...]
) -> tuple[Manager, str | None, tuple[str, ...], str]:
    """Which manager, its lockfile, the files that name the dependencies, and what says so."""
    file = at(folder, "pyproject.toml")
    uv_lock, poetry_lock = at(folder, "uv.lock"), at(folder, "poetry.lock")
    tools = table(pyproject.get("tool"))
    project = table(pyproject.get("project"))
    if tree.has(uv_lock) and tree.has(file):
        return Manager.UV, uv_lock, (file,), uv_lock
    if tools.get("poetry") is not None and (tree.has(poetry_lock) or not project):
        lockfile = poetry_lock if tree.has(poetry_lock) else None
        return Manager.POETRY, lockfile, (file,), f"{file}:tool.poetry"
    runs_uv = tools.get("uv") is not None or pyproject.get("dependency-groups") is not None
    only_uv = requirements and set(requirement_names(tree.text(requirements[0]) or "")) <= {"uv"}
    if project.get("dependencies") is not None and (not requirements or only_uv):
        manager = Manager.UV if runs_uv or only_uv else Manager.PIP
        return manager, None, (file,), f"{file}:project.dependencies"
    if requirements:
        return Manager.PIP, None, requirements, requirements[0]
    pipfile = at(folder, "Pipfile")
    if tree.has(pipfile):
        tree.note(f"{pipfile}: installed by pip from its names, the Pipfile.lock is not read")
        return Manager.PIP, None, (), pipfile
    if project or pyproject.get("dependency-groups"):
        return Manager.UV if runs_uv else Manager.PIP, None, (file,), file
    setup = at(folder, "setup.py")
    if tree.has(setup):
        return Manager.PIP, None, (), setup
    return Manager.PIP, None, (), at(folder, "manage.py")


def _requirement_files(tree: Tree, folder: str) -> tuple[str, ...]:
    main = tree.first(folder, *_PRODUCTION_REQUIREMENTS, *_MAIN_REQUIREMENTS)
    if main is None:
        return ()
    prefix = "" if folder == "." else f"{folder}/"
    extra = [
        path
        for path in tree.below(folder)
        if _DEV_REQUIREMENTS.fullmatch(path.removeprefix(prefix)) and path != main
    ]
    return (main, *extra[:3])


def _declared_names(
    tree: Tree, folder: str, pyproject: Mapping[str, Any]
) -> tuple[set[str], set[str], tuple[str, ...]]:
    """Names needed to run, names needed to develop, and the groups that hold the latter."""
    project = table(pyproject.get("project"))
    poetry = table(table(pyproject.get("tool")).get("poetry"))
    names = set(requirement_names("\n".join(strings(project.get("dependencies")))))
    names.update(normal(str(name)) for name in table(poetry.get("dependencies")))
    names.discard("python")
    dev_names: set[str] = set()
    groups: list[str] = []
    declared: dict[str, set[str]] = {}
    for source in (pyproject.get("dependency-groups"), project.get("optional-dependencies")):
        for group, wanted in table(source).items():
            declared[str(group)] = set(requirement_names("\n".join(strings(wanted))))
    for group, content in table(poetry.get("group")).items():
        wanted = table(table(content).get("dependencies"))
        declared[str(group)] = {normal(str(name)) for name in wanted}
    legacy = {normal(str(name)) for name in table(poetry.get("dev-dependencies"))}
    if legacy:
        declared["dev"] = declared.get("dev", set()) | legacy
    for group, wanted_names in declared.items():
        if "\0" not in group and _TEST_GROUPS.search(group):
            groups.append(group)
            dev_names |= wanted_names
    main, *others = _requirement_files(tree, folder) or ("",)
    names |= _names_in(tree, main, set())
    for path in others:
        dev_names |= _names_in(tree, path, set())
    pipfile = at(folder, "Pipfile")
    if tree.has(pipfile):
        content = tree.toml(pipfile)
        names |= {normal(str(name)) for name in table(content.get("packages"))}
        dev_names |= {normal(str(name)) for name in table(content.get("dev-packages"))}
    setup = at(folder, "setup.py")
    if tree.has(setup):
        quoted = re.findall(
            r"""["']([A-Za-z][\w.\-]{1,60})\s*(?:[<>=~!\[][^"']{0,60})?["']""", tree.source(setup)
        )
        names |= {normal(name) for name in quoted}
    return names, dev_names - names, tuple(groups)


def _names_in(tree: Tree, path: str, seen: set[str]) -> set[str]:
    """The names of a requirements file and of the files it includes."""
    if not path or path in seen or len(seen) > 10:
        return set()
    seen.add(path)
    text = tree.text(path) or ""
    names = set(requirement_names(text))
    for included in _INCLUDED.findall(text)[:10]:
        inner = join(dirname(path) or ".", included)
        if inner:
            names |= _names_in(tree, inner, seen)
    return names


def _interpreter(tree: Tree, folder: str, pyproject: Mapping[str, Any]) -> str | None:
    """The constraint on Python; the exact file of pyenv and uv wins over the range."""
    project = table(pyproject.get("project"))
    poetry = table(table(table(pyproject.get("tool")).get("poetry")).get("dependencies"))
    ranged = string(project.get("requires-python")) or string(poetry.get("python"))
    for name in (".python-version", "runtime.txt"):
        path = tree.first(folder, name) or tree.first(".", name)
        text = (tree.text(path) or "").strip() if path else ""
        match = re.match(r"(?:python-)?(\d+\.\d+(?:\.\d+)?)\b", text)
        if match:
            return match[1]
    if ranged:
        return ranged
    pipfile = tree.toml(at(folder, "Pipfile")) if tree.has(at(folder, "Pipfile")) else {}
    return string(table(pipfile.get("requires")).get("python_version"))


def _installs_project(
    tree: Tree, folder: str, pyproject: Mapping[str, Any], manager: Manager
) -> bool:
    """A build backend is declared, or the old setup.py is there and nothing else."""
    if table(pyproject.get("build-system")).get("build-backend"):
        return True
    return (
        manager is Manager.PIP
        and tree.has(at(folder, "setup.py"))
        and not _requirement_files(tree, folder)
    )


def _pipfile(tree: Tree, folder: str) -> tuple[str, ...]:
    """The packages of a Pipfile as requirements."""
    found: list[str] = []
    content = tree.toml(at(folder, "Pipfile"))
    for kind in ("packages", "dev-packages"):
        for name, wanted in table(content.get(kind)).items():
            body = table(wanted)
            version = string(wanted) or string(body.get("version")) or "*"
            extras = ",".join(strings(body.get("extras")))
            text = f"{name}{f'[{extras}]' if extras else ''}{'' if version == '*' else version}"
            if re.fullmatch(r"[A-Za-z0-9][\w.\-]*(?:\[[\w,.\-]*\])?[\w.<>=!~,*+ ]*", text):
                found.append(text)
    return tuple(found[:200])


def _members(tree: Tree, folder: str, uv: Mapping[str, Any]) -> tuple[str, ...]:
    from fnmatch import fnmatchcase

    patterns = strings(table(uv.get("workspace")).get("members"))
    prefix = "" if folder == "." else f"{folder}/"
    found: list[str] = []
    for path in tree.below(folder):
        inner = dirname(path)
        if path.endswith("/pyproject.toml") and any(
            fnmatchcase(inner.removeprefix(prefix), pattern[:200]) for pattern in patterns[:50]
        ):
            found.append(inner)
    return tuple(found)

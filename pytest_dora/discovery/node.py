"""Node projects: which folders install, with which manager, and who belongs to a workspace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import dirname
from typing import Any

from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.parse import scalar, string, strings, table
from pytest_dora.model.plan import Ecosystem, Manager, Package

LOCKFILES = {
    Manager.NPM: ("package-lock.json", "npm-shrinkwrap.json"),
    Manager.PNPM: ("pnpm-lock.yaml",),
    Manager.YARN: ("yarn.lock",),
    Manager.BUN: ("bun.lock", "bun.lockb"),
}
APP_FOLDERS = frozenset(
    "api app backend client frontend server service site ui web webapp website".split()
)
"""Folder names that make a nested project a part of the app without anybody naming it."""

MAX_NESTED_DEPTH = 3
MAX_SCRIPT_DEPTH = 5

_MANAGER_FIELD = re.compile(r"(npm|pnpm|yarn|bun)@(\d[\w.\-]*)")


@dataclass(frozen=True)
class NodeProject:
    """One ``package.json``: a package of its own or a member of a workspace."""

    path: str
    package: str
    manager: Manager
    name: str | None
    scripts: Mapping[str, str]
    dependencies: Mapping[str, str]
    manifest: Mapping[str, Any]
    member: bool = False
    members: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The manifest's path."""
        return at(self.path, "package.json")

    def has(self, *names: str) -> bool:
        """Whether any of the packages is a dependency of any kind."""
        return any(name in self.dependencies for name in names)

    def run(self, script: str) -> tuple[str, ...]:
        """How this project's manager runs a script."""
        return (self.manager.value, "run", script)


def at(folder: str, name: str) -> str:
    """The path of a file in a folder, both relative to the app's root."""
    return name if folder == "." else f"{folder}/{name}"


def find(tree: Tree, *, leftovers: bool) -> tuple[tuple[Package, ...], tuple[NodeProject, ...]]:
    """The packages that are installed, and every project with its workspace members.

    ``leftovers`` says that nested projects which nobody names are remains of a template.
    """
    manifests = [path for path in tree.files if path.rsplit("/", 1)[-1] == "package.json"]
    manifests = [path for path in manifests if path.count("/") <= MAX_NESTED_DEPTH]
    packages: list[Package] = []
    projects: list[NodeProject] = []
    taken: set[str] = set()
    for path in sorted(manifests, key=lambda name: (name.count("/"), name)):
        folder = dirname(path) or "."
        if folder in taken or not tree.json(path):
            continue
        if len(manifests) > 1 and not packages and _names_nothing(tree, folder):
            tree.note(f"{path}: names nothing to install or to run, ignored")
            continue
        if packages and not _belongs(tree, folder, projects, leftovers=leftovers):
            tree.note(f"{path}: not part of the app's workspace and named by nothing, ignored")
            continue
        root, members = _package(tree, folder)
        packages.append(root)
        projects.append(_project(tree, folder, folder, root.manager, members=root.members))
        projects.extend(
            _project(tree, member, folder, root.manager, member=True) for member in members
        )
        taken.update((folder, *members))
    _note_orphan_lockfiles(tree)
    return tuple(packages), tuple(projects)


def expand_script(
    project: NodeProject, text: str, depth: int = 0
) -> tuple[tuple[str, str | None], ...]:
    """The parts of a script between ``&&``, with ``npm run x`` replaced by what ``x`` says.

    Each part comes with the name of the nested script it was read from.
    """
    parts: list[tuple[str, str | None]] = []
    for part in re.split(r"\s*(?:&&|;)\s*", text.strip()[:5_000]):
        name = called_script(part)
        inner = project.scripts.get(name) if name else None
        if name and inner is not None and depth < MAX_SCRIPT_DEPTH:
            nested = expand_script(project, inner, depth + 1)
            parts.extend((command, origin or name) for command, origin in nested)
        elif part:
            parts.append((part, None))
    return tuple(parts[:50])


def called_script(command: str) -> str | None:
    """The script that ``npm run x``, ``yarn x``, ``pnpm x`` or ``bun run x`` calls."""
    match = re.fullmatch(
        r"(?:npm run|npm run-script|pnpm run|pnpm|yarn run|yarn|bun run|bun)(?: -s| --silent)?"
        r" ([A-Za-z][\w:.\-]*)",
        command.strip(),
    )
    if match:
        return match[1]
    return "test" if command.strip() in ("npm test", "npm t") else None


def _package(tree: Tree, folder: str) -> tuple[Package, tuple[str, ...]]:
    path = at(folder, "package.json")
    manifest = tree.json(path)
    members = _members(tree, folder, manifest)
    manager, version, lockfile, why = _manager(tree, folder, manifest)
    engines = table(manifest.get("engines"))
    package = Package(
        path=folder,
        ecosystem=Ecosystem.NODE,
        manager=manager,
        manager_version=version,
        lockfile=lockfile,
        runtime_requires=string(engines.get("node")) or _version_file(tree, folder),
        manifests=(path, *(at(member, "package.json") for member in members)),
        members=members,
        source=why,
    )
    return package, members


def _version_file(tree: Tree, folder: str) -> str | None:
    for name in (".nvmrc", ".node-version"):
        path = tree.first(folder, name) or tree.first(".", name)
        text = (tree.text(path) or "").strip() if path else ""
        if re.fullmatch(r"v?\d[\d.]*", text):
            return text.removeprefix("v")
    return None


def _manager(
    tree: Tree, folder: str, manifest: Mapping[str, Any]
) -> tuple[Manager, str | None, str | None, str]:
    """Which manager, its pinned version, its lockfile, and what says so."""
    path = at(folder, "package.json")
    field = _MANAGER_FIELD.match(string(manifest.get("packageManager")) or "")
    found: dict[Manager, str] = {}
    for manager, names in LOCKFILES.items():
        lockfile = tree.first(folder, *names)
        if lockfile:
            found[manager] = lockfile
    if field:
        manager = Manager(field[1])
        version = field[2]
        return manager, version, found.get(manager), f"{path}:packageManager"
    if len(found) > 1:
        tree.note(f"{folder}: several lockfiles ({', '.join(sorted(found.values()))})")
    for manager in (Manager.NPM, Manager.PNPM, Manager.YARN, Manager.BUN):
        if manager in found:
            return manager, None, found[manager], found[manager]
    if tree.has(at(folder, "pnpm-workspace.yaml")):
        return Manager.PNPM, None, None, at(folder, "pnpm-workspace.yaml")
    if tree.has(at(folder, ".yarnrc.yml")):
        return Manager.YARN, None, None, at(folder, ".yarnrc.yml")
    if _speaks_bun(tree, folder, manifest):
        return Manager.BUN, None, None, f"{path}:scripts"
    return Manager.NPM, None, None, path


def _speaks_bun(tree: Tree, folder: str, manifest: Mapping[str, Any]) -> bool:
    if tree.has(at(folder, "bunfig.toml")):
        return True
    scripts = table(manifest.get("scripts")).values()
    return any(re.match(r"bunx? ", scalar(script) or "") for script in scripts)


def _members(tree: Tree, folder: str, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Folders of the workspace members, in the order of the patterns."""
    declared = manifest.get("workspaces")
    patterns = strings(declared if declared is not None else ())
    if isinstance(declared, dict):
        patterns = strings(declared.get("packages"))
    workspace = at(folder, "pnpm-workspace.yaml")
    if tree.has(workspace):
        patterns = (*patterns, *strings(tree.yaml(workspace).get("packages")))
    lerna = at(folder, "lerna.json")
    if tree.has(lerna) and not patterns:
        patterns = strings(tree.json(lerna).get("packages"))
    if not patterns:
        return ()
    prefix = "" if folder == "." else f"{folder}/"
    folders = [
        dirname(path).removeprefix(prefix)
        for path in tree.below(folder)
        if path.endswith("/package.json") and path.startswith(prefix)
    ]
    folders = [inner for inner in folders if inner and at(folder, inner) != folder]
    chosen: list[str] = []
    for pattern in patterns[:100]:
        negated = pattern.startswith("!")
        glob = pattern.removeprefix("!").removeprefix("./").rstrip("/")
        matching = [inner for inner in folders if _matches(inner, glob)]
        if negated:
            chosen = [inner for inner in chosen if inner not in matching]
        else:
            chosen.extend(inner for inner in sorted(matching) if inner not in chosen)
    return tuple(
        at(folder, inner) for inner in chosen if tree.json(at(folder, f"{inner}/package.json"))
    )


def _matches(folder: str, glob: str) -> bool:
    """Whether a workspace pattern names a folder; ``*`` stays inside one component."""
    if len(glob) > 200:
        return False
    wanted, given = glob.split("/"), folder.split("/")
    if wanted and wanted[-1] == "**":
        return len(given) >= len(wanted) - 1 and all(
            fnmatchcase(one, pattern) for one, pattern in zip(given, wanted[:-1], strict=False)
        )
    return len(wanted) == len(given) and all(
        fnmatchcase(one, pattern) for one, pattern in zip(given, wanted, strict=True)
    )


def _project(
    tree: Tree,
    folder: str,
    package: str,
    manager: Manager,
    *,
    member: bool = False,
    members: tuple[str, ...] = (),
) -> NodeProject:
    manifest = tree.json(at(folder, "package.json"))
    dependencies: dict[str, str] = {}
    for kind in ("peerDependencies", "optionalDependencies", "devDependencies", "dependencies"):
        for name, version in table(manifest.get(kind)).items():
            dependencies[str(name)] = scalar(version) or ""
    scripts = {
        str(name): text
        for name, value in table(manifest.get("scripts")).items()
        if (text := string(value)) is not None and "\0" not in str(name)
    }
    return NodeProject(
        path=folder,
        package=package,
        manager=manager,
        name=string(manifest.get("name")),
        scripts=scripts,
        dependencies=dependencies,
        manifest=manifest,
        member=member,
        members=members,
    )


def _belongs(tree: Tree, folder: str, projects: list[NodeProject], *, leftovers: bool) -> bool:
    """Whether a nested project outside every workspace is a part of the app."""
    if folder.count("/") > 1 or any(
        folder.startswith(f"{member}/") for project in projects for member in project.members
    ):
        return False
    outer = [project for project in projects if join(project.path, ".") != folder]
    named = re.compile(rf"(?<![\w./-])(?:\./)?{re.escape(folder)}(?![\w-])")
    for project in outer:
        if any(named.search(text[:5_000]) for text in project.scripts.values()):
            return True
    if any(named.search(tree.source(name)) for name in ("Procfile", "Dockerfile", ".replit")):
        return True
    if leftovers:
        return False
    return (
        all(project.path != "." for project in projects) or folder.rsplit("/", 1)[-1] in APP_FOLDERS
    )


def _names_nothing(tree: Tree, folder: str) -> bool:
    keys = ("scripts", "dependencies", "devDependencies", "main", "packageManager")
    files = (*(name for names in LOCKFILES.values() for name in names), "lerna.json", "nx.json")
    manifest = tree.json(at(folder, "package.json"))
    return (
        not any(manifest.get(key) for key in keys)
        and not _members(tree, folder, manifest)
        and tree.first(folder, *files) is None
    )


def _note_orphan_lockfiles(tree: Tree) -> None:
    names = {name for group in LOCKFILES.values() for name in group}
    for path in tree.files:
        folder, _, name = path.rpartition("/")
        if name in names and not tree.has(at(folder or ".", "package.json")):
            tree.note(f"{path}: lockfile without a package.json, ignored")

"""What a Node project builds, in which order, and where its artefact is expected."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_dora.discovery import nx
from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.node import NodeProject, at, expand_script
from pytest_dora.discovery.shell import commands
from pytest_dora.discovery.tsconfig import output_folder
from pytest_dora.model.plan import BuildStep

CONFIG_ENDINGS = ("ts", "js", "mjs", "mts", "cjs", "cts")
_OUTPUTS = {"react-scripts": "build", "astro": "dist", "nuxt": ".output", "nuxi": ".output"}
_SERVER_HINTS = frozenset({"server", "backend", "api", "service"})
_OUT_DIR = re.compile(r"""outDir\s*:\s*(?P<quote>["'`])(?P<path>[^"'`\n]{1,200})(?P=quote)""")
_OUT_DIR_RESOLVED = re.compile(
    r"""outDir\s*:\s*(?:path\s*\.\s*)?(?:resolve|join)\(\s*"""
    r"""(?:import\.meta\.dirname|__dirname|process\.cwd\(\))((?:\s*,\s*["'`][^"'`\n]{1,100}["'`])+)"""
)
_VITE_ROOT = re.compile(
    r"""(?<![\w.])root\s*:\s*(?:(?:path\s*\.\s*)?(?:resolve|join)\(\s*"""
    r"""(?:import\.meta\.dirname|__dirname|process\.cwd\(\))\s*,\s*)?["'`]([^"'`\n]{1,100})["'`]"""
)


def builds(tree: Tree, projects: Sequence[NodeProject]) -> tuple[BuildStep, ...]:
    """The declared builds: a workspace root's own one, else each member's in dependency order."""
    steps: list[BuildStep] = []
    covered: set[str] = set()
    for root in (project for project in projects if not project.member):
        own = _build(tree, root)
        members = [one for one in projects if one.member and one.package == root.path]
        if own is not None:
            steps.append(own)
            covered.update(_called_projects(root, projects))
        else:
            for member in in_dependency_order(members):
                step = _build(tree, member)
                if step is not None:
                    steps.append(step)
    return tuple(step for step in _clients_first(steps, projects) if step.cwd not in covered)


def in_dependency_order(projects: Sequence[NodeProject]) -> list[NodeProject]:
    """Members after the members they depend on; among equals libraries, clients, then servers."""
    by_name = {project.name: project for project in projects if project.name}
    ordered: list[NodeProject] = []
    visiting: set[str] = set()

    def visit(project: NodeProject) -> None:
        if project in ordered or project.path in visiting:
            return
        visiting.add(project.path)
        for name in project.dependencies:
            if name in by_name:
                visit(by_name[name])
        ordered.append(project)

    for project in sorted(projects, key=_is_server):
        visit(project)
    return ordered


def vite_output(tree: Tree, project: NodeProject, script: str = "") -> str | None:
    """The folder that ``vite build`` writes, relative to the root; None when it is computed."""
    root = "."
    config = None
    for part, _ in expand_script(project, script):
        for command in commands(part):
            if command.program == "vite":
                words = [word for word in command.argv[1:] if word != "build"]
                if "--config" in words[:-1]:
                    config = words[words.index("--config") + 1]
                elif "-c" in words[:-1]:
                    config = words[words.index("-c") + 1]
                if "--outDir" in words[:-1]:
                    return join(project.path, words[words.index("--outDir") + 1])
                if words and not words[0].startswith("-"):
                    root = words[0]
    base = join(project.path, root) or project.path
    path = join(project.path, config) if config else None
    path = path or tree.first(base, *(f"vite.config.{end}" for end in CONFIG_ENDINGS))
    text = tree.source(path) if path else ""
    here = path.rpartition("/")[0] or "." if path else base
    declared = _VITE_ROOT.search(text)
    if declared:
        base = join(here, declared[1]) or base
    resolved = _OUT_DIR_RESOLVED.search(text)
    if resolved:
        words = re.findall(r"""["'`]([^"'`]+)["'`]""", resolved[1])
        return join(here, "/".join(words))
    literal = _OUT_DIR.search(text)
    if literal and "${" not in literal["path"]:
        return join(base, literal["path"])
    if "outDir" in text:
        return None
    return join(base, "dist")


def artefacts(tree: Tree, project: NodeProject, script: str) -> tuple[str, ...]:
    """Where the build's result is expected; empty when the scripts do not tell."""
    found: list[str] = []
    for part, _ in expand_script(project, script):
        for command in commands(part):
            folder = _artefact(tree, project, command.program, command.argv, script)
            if folder and folder not in found:
                found.append(folder)
    return tuple(found)


def _build(tree: Tree, project: NodeProject) -> BuildStep | None:
    script = project.scripts.get("build")
    if script is not None:
        if _is_placeholder(script):
            tree.note(f"{project.file}: the build script does nothing")
            return None
        return BuildStep(
            name=f"build {project.path}",
            argv=project.run("build"),
            cwd=project.path,
            package=project.package,
            artefacts=artefacts(tree, project, script),
            source=f"{project.file}:scripts.build",
        )
    for dependency, argv in (
        ("next", ("next", "build")),
        ("@angular/cli", ("ng", "build")),
        ("nx", ("nx", "run-many", "-t", "build")),
        ("vite", ("vite", "build")),
    ):
        if not project.has(dependency) or not _is_entry(tree, project, dependency):
            continue
        return BuildStep(
            name=f"build {project.path}",
            argv=argv,
            cwd=project.path,
            package=project.package,
            artefacts=artefacts(tree, project, " ".join(argv)),
            source=f"{project.file}:{dependency}",
        )
    return None


def _is_entry(tree: Tree, project: NodeProject, dependency: str) -> bool:
    """Whether a project without a build script is one that the framework can build."""
    if project.members:
        return False
    if dependency == "vite":
        return tree.has(at(project.path, "index.html"))
    if dependency == "nx":
        return tree.has(at(project.path, "nx.json"))
    return True


def _artefact(
    tree: Tree, project: NodeProject, program: str, argv: tuple[str, ...], script: str
) -> str | None:
    here = project.path
    if program == "next" and "build" in argv:
        config = tree.first(here, *(f"next.config.{end}" for end in CONFIG_ENDINGS))
        text = tree.source(config) if config else ""
        return None if "distDir" in text else join(here, ".next")
    if program == "vite" and "build" in argv:
        if project.has("@sveltejs/kit", "@remix-run/dev", "@react-router/dev", "@tanstack/start"):
            return None
        return vite_output(tree, project, script)
    if program in _OUTPUTS and (program == "react-scripts" or "build" in argv):
        return join(here, _OUTPUTS[program])
    if program == "nx":
        return next((one.output for one in nx.projects(tree, project)), None)
    if program in ("esbuild", "tsup", "tsdown"):
        return _bundle(tree, project, program, argv)
    if program == "tsc":
        config = next(
            (
                argv[index + 1]
                for index, word in enumerate(argv[:-1])
                if word in ("-p", "--project")
            ),
            "tsconfig.json",
        )
        path = join(here, config)
        return output_folder(tree, path) if path and "--noEmit" not in argv else None
    return None


def _bundle(tree: Tree, project: NodeProject, program: str, argv: tuple[str, ...]) -> str | None:
    """Where a bundler of libraries and servers writes."""
    named = re.search(r"(?:^|\s)(?:--out-?dir|--outfile|-d)[= ](\S{1,200})", " ".join(argv))
    if named:
        return join(project.path, named[1])
    config = next(
        (
            path
            for path in tree.below(project.path)
            if re.fullmatch(rf"{program}\.(?:\w+\.)?config\.\w+", path.rsplit("/", 1)[-1])
        ),
        None,
    )
    text = tree.source(config) if config else ""
    literal = _OUT_DIR.search(text)
    if literal:
        return join(project.path, literal["path"])
    return None if program == "esbuild" or "outDir" in text else join(project.path, "dist")


def _is_placeholder(script: str) -> bool:
    found = commands(script)
    return all(command.argv[0] == "exit" for command in found)


def _called_projects(root: NodeProject, projects: Sequence[NodeProject]) -> set[str]:
    """Folders of other packages that the root's build script builds itself."""
    text = " && ".join(part for part, _ in expand_script(root, root.scripts.get("build", "")))
    called: set[str] = set()
    for project in projects:
        if project.path != root.path and not project.member:
            name = re.escape(project.path)
            if re.search(rf"(?<![\w./-])(?:\./)?{name}(?![\w-])", text) and "build" in text:
                called.add(project.path)
    return called


def _is_server(project: NodeProject) -> bool:
    return project.path.rsplit("/", 1)[-1] in _SERVER_HINTS


def _clients_first(steps: list[BuildStep], projects: Sequence[NodeProject]) -> list[BuildStep]:
    """Independent packages: a client's files may be served by the server, so it comes first."""
    by_path = {project.path: project for project in projects}
    members = {project.path for project in projects if project.member}
    if any(step.cwd in members for step in steps):
        return steps
    return sorted(steps, key=lambda step: _is_server(by_path[step.cwd]))

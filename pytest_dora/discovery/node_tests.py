"""Unit tests of Node projects; browser tests are none."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from posixpath import basename

from pytest_dora.discovery.files import Tree
from pytest_dora.discovery.node import NodeProject, at, expand_script
from pytest_dora.discovery.shell import Command, commands, shell_script
from pytest_dora.model.plan import Manager, TestRunner, TestSuite

MAX_FILES = 200
PLACEHOLDER = "no test specified"

_ONLY_GLOBS = re.compile(r"[\w\s./@:=,*?\[\]'\"-]{1,2000}")
_TEST_FILE = re.compile(r"(?:.*[.\-_](?:test|spec)|test)\.[cm]?[jt]sx?")
_BROWSER_FOLDER = re.compile(r"(?:^|/)(?:e2e|cypress|playwright|e2e-tests|wdio)/")
_BROWSER_IMPORT = re.compile(
    r"""(?:from|require\()\s*["'](?:@playwright/test|playwright|cypress|puppeteer|@wdio/)"""
)
_BROWSER_TOOLS = frozenset({"playwright", "cypress", "wdio", "nightwatch", "testcafe"})
_RUNNERS = {
    "vitest": TestRunner.VITEST,
    "jest": TestRunner.JEST,
    "mocha": TestRunner.MOCHA,
    "react-scripts": TestRunner.JEST,
}
_HARMLESS = frozenset({"tsc", "eslint", "biome", "prettier", "vue-tsc", "next"})


@dataclass(frozen=True)
class _Part:
    command: Command
    runner: TestRunner | None
    browser: bool


def tests(tree: Tree, projects: Sequence[NodeProject]) -> tuple[TestSuite, ...]:
    """The suites of every project; a root that only calls its members' tests has none."""
    suites: list[TestSuite] = []
    for project in projects:
        others = [
            one.path
            for one in projects
            if one.path != project.path
            and (project.path == "." or one.path.startswith(project.path))
        ]
        files = _files(tree, project, others)
        script = project.scripts.get("test") or project.scripts.get("test:unit")
        name = "test" if project.scripts.get("test") else "test:unit"
        if script and PLACEHOLDER in script:
            script = None
        if script is None:
            suites.extend(_undeclared(tree, project, files))
        elif not (others and _delegates(project, script)):
            suites.extend(_declared(tree, project, name, script, files))
    return tuple(suites)


def _files(tree: Tree, project: NodeProject, others: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for path in tree.below(project.path):
        if any(path.startswith(f"{other}/") for other in others):
            continue
        in_folder = "/__tests__/" in f"/{path}" and path.endswith((".js", ".jsx", ".ts", ".tsx"))
        if not (_TEST_FILE.fullmatch(basename(path)) or in_folder):
            continue
        if _BROWSER_FOLDER.search(path) or _BROWSER_IMPORT.search(tree.source(path)[:20_000]):
            tree.note(f"{path}: browser tests are not unit tests and are left out")
            continue
        found.append(path)
    return tuple(found[:MAX_FILES])


def _declared(
    tree: Tree, project: NodeProject, name: str, script: str, files: tuple[str, ...]
) -> Iterator[TestSuite]:
    parts = list(_parts(tree, project, script))
    unit = [part for part in parts if part.runner is not None]
    browser = [part for part in parts if part.browser]
    other = [
        part
        for part in parts
        if part.runner is None and not part.browser and part.command.program not in _HARMLESS
    ]
    source = f"{project.file}:scripts.{name}"
    if browser:
        tree.note(f"{source}: browser tests are not unit tests and are left out")
    if not unit and not other:
        return
    if unit and not other:
        for part in unit:
            yield _suite(project, part.command, part.runner, files, source)
        return
    if browser and not unit:
        return
    runner = unit[0].runner if unit else TestRunner.COMMAND
    whole = Command((project.manager.value, "run", name))
    yield _suite(project, whole, runner, files, source)


def _undeclared(tree: Tree, project: NodeProject, files: tuple[str, ...]) -> Iterator[TestSuite]:
    """Test files without a test script: the runner that the dependencies name."""
    if not files:
        return
    for dependency, argv, runner in (
        ("vitest", ("vitest", "run"), TestRunner.VITEST),
        ("jest", ("jest",), TestRunner.JEST),
        ("react-scripts", ("react-scripts", "test", "--watchAll=false"), TestRunner.JEST),
        ("mocha", ("mocha",), TestRunner.MOCHA),
    ):
        if project.has(dependency):
            yield _suite(project, Command(argv), runner, files, f"{project.file}:{dependency}")
            return
    imported = {
        module
        for path in files[:20]
        for module in re.findall(
            r"""from\s+["'](bun:test|node:test|vitest)["']""", tree.source(path)
        )
    }
    if "bun:test" in imported or project.has("@types/bun") or project.manager is Manager.BUN:
        source = f"{project.file}:@types/bun" if project.has("@types/bun") else files[0]
        yield _suite(project, Command(("bun", "test")), TestRunner.BUN, files, source)
    elif "node:test" in imported:
        yield _suite(project, Command(("node", "--test")), TestRunner.NODE, files, files[0])
    else:
        tree.note(f"{project.file}: {len(files)} test files and nothing that runs them")


def _parts(tree: Tree, project: NodeProject, script: str) -> Iterator[_Part]:
    for text, _ in expand_script(project, script):
        for command in commands(text):
            plain = _plain(_with_globs(tree, project, command))
            runner = _runner(plain)
            browser = plain.program in _BROWSER_TOOLS or "playwright" in plain.text.split()
            yield _Part(_once(plain, runner), None if browser else runner, browser)


def _with_globs(tree: Tree, project: NodeProject, command: Command) -> Command:
    """A command that needs a shell only to find files, with the files that it finds."""
    text = shell_script(command.argv)
    if text is None or not _ONLY_GLOBS.fullmatch(text):
        return command
    words: list[str] = []
    for raw in text.split():
        quoted = raw[:1] in ("'", '"')
        pattern = at(project.path, raw)
        found = [
            path if project.path == "." else path.removeprefix(f"{project.path}/")
            for path in (() if quoted or not re.search(r"[*?\[]", raw) else tree.files)
            if path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)
        ]
        words.extend(found[:MAX_FILES] or [raw.strip("'\"")])
    (inner,) = commands(shlex.join(words)) or (command,)
    return Command(inner.argv, command.cwd, {**command.env, **inner.env}, command.background)


def _plain(command: Command) -> Command:
    """The command without ``npx``, ``cross-env`` and the like in front."""
    argv = list(command.argv)
    env = dict(command.env)
    while len(argv) > 1:
        if argv[0] in ("npx", "bunx", "pnpx") or argv[:2] in (
            ["pnpm", "exec"],
            ["yarn", "exec"],
            ["npm", "exec"],
            ["pnpm", "dlx"],
        ):
            argv = argv[1:] if argv[0] in ("npx", "bunx", "pnpx") else argv[2:]
            argv = argv[1:] if argv[:1] in (["--"], ["-y"], ["--no-install"]) else argv
        elif argv[0] in ("cross-env", "dotenv") and argv[1] != "-e":
            argv = argv[1:]
            while argv and re.match(r"[A-Za-z_]\w*=", argv[0]):
                key, _, value = argv.pop(0).partition("=")
                env[key] = value
            argv = argv[1:] if argv[:1] == ["--"] else argv
        else:
            break
    return Command(tuple(argv) or command.argv, command.cwd, env, command.background)


def _runner(command: Command) -> TestRunner | None:
    program, argv = command.program, command.argv
    if program in _RUNNERS:
        return _RUNNERS[program] if program != "react-scripts" or "test" in argv else None
    if program == "bun" and "test" in argv[:3]:
        return TestRunner.BUN
    if program in ("node", "tsx") and any(re.fullmatch(r"--test(=.*)?", word) for word in argv):
        return TestRunner.NODE
    if program == "node" and any("node_modules/.bin/jest" in word for word in argv):
        return TestRunner.JEST
    return None


def _once(command: Command, runner: TestRunner | None) -> Command:
    """The same tests, run once instead of watched."""
    argv = [word for word in command.argv if word not in ("--watch", "--watchAll", "-w", "--ui")]
    if runner is TestRunner.VITEST and not {"run", "--run"} & set(argv):
        argv = [argv[0], "run", *(word for word in argv[1:] if word not in ("watch", "dev"))]
    if command.program == "react-scripts" and "--watchAll=false" not in argv:
        argv.append("--watchAll=false")
    return Command(tuple(argv), command.cwd, command.env, command.background)


def _delegates(project: NodeProject, script: str) -> bool:
    """Whether the script only calls the tests of other projects (``-ws``, ``-r``, turbo)."""
    text = " && ".join(part for part, _ in expand_script(project, script))
    return bool(
        re.search(r"--workspaces?\b|(?:^|\s)-ws?\b|--filter|pnpm -r|--recursive|\bturbo\b", text)
        or re.search(r"\byarn workspaces? |--prefix |\blerna run\b|\bcd [\w./-]+ &&", script)
    )


def _suite(
    project: NodeProject,
    command: Command,
    runner: TestRunner | None,
    files: tuple[str, ...],
    source: str,
) -> TestSuite:
    return TestSuite(
        name=f"{command.argv[0]} {project.path}",
        argv=command.argv,
        cwd=project.path,
        env=dict(command.env),
        package=project.package,
        runner=runner or TestRunner.COMMAND,
        files=files,
        source=source,
    )

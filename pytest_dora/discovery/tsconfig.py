"""Type checks of TypeScript: every configuration that covers files, in the project's own form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from posixpath import basename, dirname
from typing import Any

from pytest_dora.discovery.files import Tree, join
from pytest_dora.discovery.node import NodeProject, expand_script
from pytest_dora.discovery.parse import items, string, strings, table
from pytest_dora.discovery.shell import commands
from pytest_dora.model.plan import TypecheckStep, TypecheckTool

SCRIPT_NAMES = (
    "typecheck",
    "type-check",
    "types:check",
    "check-types",
    "check:types",
    "type:check",
    "types",
    "tsc",
    "check",
    "ts:check",
)
_CHECKERS = frozenset({"tsc", "vue-tsc", "svelte-check", "astro", "nuxi", "nuxt"})
_GENERATORS = frozenset({"svelte-kit", "next", "react-router", "nuxi", "nuxt"})
_TYPED = (".ts", ".tsx", ".mts", ".cts")
_UNTYPED = (".js", ".jsx", ".mjs", ".cjs")
_MAX_REFERENCES = 60
_MAX_EXTENDS = 8


def typechecks(tree: Tree, projects: Sequence[NodeProject]) -> tuple[TypecheckStep, ...]:
    """One step per real configuration of every project; nothing for plain JavaScript."""
    steps: list[TypecheckStep] = []
    taken: set[str] = set()
    for project in sorted(projects, key=lambda one: not one.member):
        inner = [one.path for one in projects if one.path != project.path]
        for step in _of_project(tree, project, inner):
            key = step.config or step.cwd
            if key not in taken:
                taken.add(key)
                steps.append(step)
    order = {project.path: number for number, project in enumerate(projects)}
    return tuple(sorted(steps, key=lambda step: order.get(step.cwd, len(order))))


def output_folder(tree: Tree, config: str) -> str | None:
    """``outDir`` of a configuration that emits, relative to the root."""
    options = _options(tree, config)
    target = string(options.get("outDir"))
    if options.get("noEmit") is True or target is None:
        return None
    return join(dirname(config) or ".", target)


def _of_project(tree: Tree, project: NodeProject, others: Sequence[str]) -> Iterator[TypecheckStep]:
    script = _script(project)
    if script is not None:
        source, parts = script
        configs = list(_named_configs(tree, project, parts))
    else:
        source, parts = "", []
        configs = list(_found_configs(tree, project, others))
    special = next((part for part in parts if part[0] in ("svelte-check", "astro")), None)
    if special is None and script is None:
        special = _framework_checker(tree, project)
    if special is not None:
        config = tree.first(project.path, "tsconfig.json")
        yield _step(project, special, config, source or project.file)
        return
    vue = any(part[0] == "vue-tsc" for part in parts) or project.has("vue-tsc")
    built = {one for config in configs for one in _built_along(tree, config)}
    for config in configs:
        if config in built:
            continue
        argv = _argv(tree, project, config, "vue-tsc" if vue else "tsc")
        yield _step(project, argv, config, source or config)


def _step(
    project: NodeProject, argv: tuple[str, ...], config: str | None, source: str
) -> TypecheckStep:
    return TypecheckStep(
        name=f"{argv[0]} {config or project.path}",
        argv=argv,
        cwd=project.path,
        package=project.package,
        tool=TypecheckTool.TSC,
        config=config,
        source=source,
    )


def _script(project: NodeProject) -> tuple[str, list[tuple[str, ...]]] | None:
    """The project's own type-check script, when it runs nothing but type checkers."""
    for name in SCRIPT_NAMES:
        text = project.scripts.get(name)
        if text is None:
            continue
        parsed = [
            command.argv for part, _ in expand_script(project, text) for command in commands(part)
        ]
        checks = [argv for argv in parsed if argv[0] in _CHECKERS]
        rest = [argv for argv in parsed if argv[0] not in _CHECKERS | _GENERATORS]
        if checks and not rest and "--watch" not in text:
            return f"{project.file}:scripts.{name}", checks
    return None


def _named_configs(
    tree: Tree, project: NodeProject, parts: Sequence[tuple[str, ...]]
) -> Iterator[str]:
    """The configurations that the arguments of ``tsc`` name, solution-style ones resolved."""
    for argv in parts:
        named: list[str] = []
        words = list(argv[1:])
        build = any(word in ("-b", "--build") for word in words)
        for index, word in enumerate(words):
            if word in ("-p", "--project") and index + 1 < len(words):
                named.append(words[index + 1])
            elif word.startswith("--project="):
                named.append(word.partition("=")[2])
            elif build and not word.startswith("-") and words[index - 1] != "-p":
                named.append(word)
        for name in named or ["tsconfig.json"]:
            config = _config_at(tree, project.path, name)
            if config:
                yield from _expand(tree, config, [])


def _found_configs(tree: Tree, project: NodeProject, others: Sequence[str]) -> Iterator[str]:
    """Configurations in the project's folders which no other project owns."""
    mine = [
        path
        for path in tree.below(project.path)
        if re.fullmatch(r"tsconfig(?:\.[\w.\-]+)?\.json", basename(path))
        and not any(path.startswith(f"{other}/") for other in others if _inside(other, project))
        and tree.is_json(path)
    ]
    extended = {base for path in mine for base in _bases(tree, path)}
    roots = [path for path in mine if basename(path) == "tsconfig.json"]
    seen: list[str] = []
    for path in roots:
        _collect(tree, path, seen)
    lonely = [
        path
        for path in mine
        if path not in seen
        and path not in extended
        and dirname(path) not in {dirname(root) for root in roots}
    ]
    for path in lonely:
        _collect(tree, path, seen)
    yield from (path for path in seen if path not in extended or basename(path) == "tsconfig.json")


def _inside(folder: str, project: NodeProject) -> bool:
    return project.path == "." or folder.startswith(f"{project.path}/")


def _collect(tree: Tree, config: str, seen: list[str]) -> None:
    for found in _expand(tree, config, []):
        if found not in seen:
            seen.append(found)


def _expand(tree: Tree, config: str, visited: list[str]) -> Iterator[str]:
    """The configuration itself when it covers files, and those it refers to."""
    if config in visited or len(visited) > _MAX_REFERENCES:
        return
    visited.append(config)
    if _covers(tree, config):
        yield config
    for reference in items(tree.json(config).get("references"))[:_MAX_REFERENCES]:
        target = string(table(reference).get("path"))
        inner = _config_at(tree, dirname(config) or ".", target) if target else None
        if inner:
            yield from _expand(tree, inner, visited)


def _config_at(tree: Tree, folder: str, name: str) -> str | None:
    path = join(folder, name)
    if path is None:
        return None
    if tree.has(path) and path.endswith(".json"):
        return path
    return tree.first(path, "tsconfig.json") or (
        f"{path}.json" if tree.has(f"{path}.json") else None
    )


def _covers(tree: Tree, config: str) -> bool:
    """Whether any source file belongs to the configuration."""
    return tree.remember("tsconfig covers", config, lambda: _finds_files(tree, config))


def _finds_files(tree: Tree, config: str) -> bool:
    files, include, exclude = _scope(tree, config)
    folder = dirname(config) or "."
    if files and any(_exists(tree, folder, name) for name in files):
        return True
    if files is not None and include is None:
        return False
    options = _options(tree, config)
    untyped = options.get("allowJs") is True or options.get("checkJs") is True
    endings = (*_TYPED, ".vue", ".svelte", *(_UNTYPED if untyped else ()))
    sources = tree.remember("sources", " ".join(endings), lambda: _sources(tree, endings))
    wanted = [_pattern(base, glob) for base, glob in (include or [(folder, "**/*")])]
    refused = [_pattern(base, glob) for base, glob in exclude]
    return any(
        any(one and one.fullmatch(path) for one in wanted)
        and not any(one and one.fullmatch(path) for one in refused)
        for path in sources
    )


def _sources(tree: Tree, endings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        path for path in tree.files if path.endswith(endings) and not path.endswith(".d.ts")
    )


def _exists(tree: Tree, folder: str, name: str) -> bool:
    path = join(folder, name)
    return path is not None and tree.has(path) and not path.endswith(".d.ts")


_Globs = list[tuple[str, str]]


def _scope(tree: Tree, config: str) -> tuple[tuple[str, ...] | None, _Globs | None, _Globs]:
    """``files``, ``include`` and ``exclude`` with what ``extends`` brings along."""
    chain = [config, *_bases(tree, config)]
    files: tuple[str, ...] | None = None
    include: _Globs | None = None
    exclude: _Globs | None = None
    for path in chain:
        content = tree.json(path)
        folder = dirname(path) or "."
        if files is None and isinstance(content.get("files"), list):
            files = strings(content["files"])
        if include is None and isinstance(content.get("include"), list):
            include = [(folder, glob) for glob in strings(content["include"])]
        if exclude is None and isinstance(content.get("exclude"), list):
            exclude = [(folder, glob) for glob in strings(content["exclude"])]
    return files, include, exclude or []


def _bases(tree: Tree, config: str) -> list[str]:
    """The files that a configuration extends, nearest first; packages cannot be followed."""
    return tree.remember("tsconfig extends", config, lambda: _extended(tree, config))


def _extended(tree: Tree, config: str) -> list[str]:
    found: list[str] = []
    queue = [config]
    while queue and len(found) < _MAX_EXTENDS:
        current = queue.pop(0)
        for name in reversed(strings(tree.json(current).get("extends"))):
            if not name.startswith("."):
                continue
            base = join(dirname(current) or ".", name)
            if base and not base.endswith(".json"):
                base = f"{base}.json"
            if base and tree.has(base) and base != config and base not in found:
                found.append(base)
                queue.append(base)
    return found


def _options(tree: Tree, config: str) -> Mapping[str, Any]:
    merged: dict[str, Any] = {}
    for path in reversed([config, *_bases(tree, config)]):
        merged.update(table(tree.json(path).get("compilerOptions")))
    return merged


def _pattern(folder: str, glob: str) -> re.Pattern[str] | None:
    """A glob of a tsconfig as a regular expression over paths from the root."""
    path = join(folder, glob)
    if path is None or len(path) > 300:
        return None
    parts = [] if path == "." else path.split("/")
    if not parts or not re.search(r"[*?.]", parts[-1]):
        parts.append("**")
    elif parts[-1] == "**":
        pass
    pieces: list[str] = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            pieces.append(".*" if last else "(?:.*/)?")
            continue
        one = re.escape(re.sub(r"\*+", "*", part)).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
        pieces.append(one if last else f"{one}/")
    joined = "".join(pieces)
    joined = re.sub(r"(?:\(\?:\.\*/\)\?)+", "(?:.*/)?", joined)
    return re.compile(joined) if joined.count(".*/") <= 4 else None


def _argv(tree: Tree, project: NodeProject, config: str, tool: str) -> tuple[str, ...]:
    relative = config if project.path == "." else config.removeprefix(f"{project.path}/")
    if _has_composite_references(tree, config):
        # only the build mode reads the sources of referenced projects instead of their products
        quiet = ("--noEmit",) if _at_least(project.dependencies.get("typescript"), 5, 6) else ()
        return (tool, "-b", *quiet, relative)
    return (tool, "--noEmit", "-p", relative)


def _built_along(tree: Tree, config: str) -> list[str]:
    """Configurations that the build mode checks together with this one."""
    if not _has_composite_references(tree, config):
        return []
    return [one for one in _expand(tree, config, []) if one != config]


def _has_composite_references(tree: Tree, config: str) -> bool:
    for reference in items(tree.json(config).get("references"))[:_MAX_REFERENCES]:
        target = string(table(reference).get("path"))
        inner = _config_at(tree, dirname(config) or ".", target) if target else None
        if inner and _options(tree, inner).get("composite") is True and _covers(tree, inner):
            return True
    return False


def _at_least(version: str | None, major: int, minor: int) -> bool:
    match = re.search(r"(\d{1,4})\.(\d{1,4})", version or "")
    if match is None:
        return True
    if (version or "").startswith("^"):
        return int(match[1]) >= major
    return (int(match[1]), int(match[2])) >= (major, minor)


def _framework_checker(tree: Tree, project: NodeProject) -> tuple[str, ...] | None:
    """Checkers of file formats that tsc cannot read, when the project has them."""
    if not tree.first(project.path, "tsconfig.json", "jsconfig.json"):
        return None
    if project.has("svelte-check"):
        return ("svelte-check", "--tsconfig", "./tsconfig.json")
    if project.has("@astrojs/check"):
        return ("astro", "check")
    return None

"""tsc, vue-tsc and the checkers of frameworks, always the project's own and never a download."""

from __future__ import annotations

import os
import re
from dataclasses import replace

from pytest_dora.checks.tree import installed, own_path, read_text
from pytest_dora.checks.typecheckers.base import Checked, Desk, conclude, failed
from pytest_dora.checks.typecheckers.parsers import parse_astro, parse_svelte, parse_tsc

_FLAGS = (
    "--noEmit",
    "--emitDeclarationOnly", "false",
    "--pretty", "false",
    "--listFiles",
    # what earlier builds claim to have checked must not be believed
    "--incremental", "false",
    "--composite", "false",
    "--tsBuildInfoFile", "null",
)  # fmt: skip
_BUILD_FLAGS = ("--build", "--force", "--pretty", "false", "--listFiles")
_NOTHING = frozenset({"TS18002", "TS18003"})
_NEEDS_BUILD = frozenset({"TS6305", "TS6310"})
_UNRESOLVED = frozenset({"TS2304", "TS2307", "TS2552", "TS5083", "TS6053", "TS2688", "TS7016"})
_CHECKED = re.compile(r"(?<!\.d)\.[cm]?tsx?$|\.vue$|\.svelte$|\.astro$")
_CHECKED_JS = re.compile(r"\.[cm]?jsx?$")
_CHECKS_JS = re.compile(r'"checkJs"\s*:\s*true')
_NEXT_TYPES = (
    'test -e next-env.d.ts || printf \'/// <reference types="next" />\\n'
    '/// <reference types="next/image-types/global" />\\n\' > next-env.d.ts'
)
_GENERATORS = (
    ("next", ("next", "typegen")),
    ("react-router", ("react-router", "typegen")),
    ("svelte-kit", ("svelte-kit", "sync")),
    ("nuxi", ("nuxi", "prepare")),
    ("astro", ("astro", "sync")),
)
"""Programs that write the type declarations which a framework keeps out of version control."""


def check_typescript(desk: Desk) -> Checked:
    """One configuration (or a framework's own checker), after a second try with the types that
    the framework generates when names are missing at first.
    """
    program = next((one for one in ("svelte-check", "astro") if one in desk.step.argv[:2]), None)
    check = _tsc if program is None else _framework
    if installed(desk.view.root, desk.step.cwd, ".bin/next"):
        desk.view.run(
            ("sh", "-c", _NEXT_TYPES), cwd=desk.step.cwd, package=desk.step.package,
            timeout=30, name="next-env.d.ts", log="typecheck",
        )  # fmt: skip
    first = check(desk)
    if not _UNRESOLVED.intersection(first.by_code) or not _generate(desk):
        return first
    return check(desk)


def _generate(desk: Desk) -> bool:
    """Let the frameworks write their declarations; whether any could."""
    done = False
    for name, argv in _GENERATORS:
        if installed(desk.view.root, desk.step.cwd, f".bin/{name}"):
            done = desk.run(argv)[0].ok or done
    return done


def _framework(desk: Desk) -> Checked:
    svelte = "svelte-check" in desk.step.argv[:2]
    name = "svelte-check" if svelte else "astro"
    if not installed(desk.view.root, desk.step.cwd, f".bin/{name}"):
        return _not_installed(desk, name)
    flags = ("--output", "machine", "--threshold", "error") if svelte else ()
    words = [word for word in desk.step.argv if word not in ("npx", "--watch")]
    done, text = desk.run((*words, *flags))
    printed = parse_svelte(text) if svelte else parse_astro(text)
    return conclude(desk, done, text, printed, printed.files)


def _tsc(desk: Desk) -> Checked:
    step, root = desk.step, desk.view.root
    name = "vue-tsc" if "vue-tsc" in step.argv[:2] else "tsc"
    program = installed(root, step.cwd, f".bin/{name}")
    if program is None:
        return _not_installed(desk, name)
    config = os.path.relpath(step.config or os.path.join(step.cwd, "tsconfig.json"), step.cwd)
    done, text = desk.run((program, "-p", config, *_FLAGS))
    printed = parse_tsc(text)
    codes = {one.code for one in printed.errors}
    emitted = bool(codes & _NEEDS_BUILD)
    if emitted:
        done, text = desk.run((program, *_BUILD_FLAGS, config))
        printed = parse_tsc(text)
    if codes <= _NOTHING and codes:
        return failed(step, "nothing_checked", str(printed.errors[0]), files=0)
    files = _files_checked(desk, printed.paths)
    return replace(conclude(desk, done, text, printed, files), emitted=emitted)


def _files_checked(desk: Desk, listed: tuple[str, ...]) -> int:
    """The app's own files that were really looked at: with a type system and not exempted."""
    step = desk.step
    scripts = bool(step.config and _CHECKS_JS.search(read_text(desk.view.root, step.config)))
    count = 0
    for name in dict.fromkeys(listed):
        path = own_path(name, desk.view.workdir, step.cwd)
        if path is None or "node_modules" in path.split("/"):
            continue
        if _CHECKED.search(path) or (scripts and _CHECKED_JS.search(path)):
            count += not _exempt(read_text(desk.view.root, path, 2000))
    return count


def _exempt(text: str) -> bool:
    """``// @ts-nocheck`` among the comments at the top."""
    return (
        re.match(r"(\s*//[^\n]*\n|\s*/\*.*?\*/)*\s*//+\s*@ts-nocheck\b", text, re.DOTALL)
        is not None
    )


def _not_installed(desk: Desk, name: str) -> Checked:
    package = "typescript" if name == "tsc" else name
    return failed(
        desk.step,
        "tool_not_installed",
        f"{name} is not installed: add {package} to devDependencies",
    )

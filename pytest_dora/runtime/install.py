"""How dependencies are installed: which commands, in which order, with how much trust.

A ``FETCH`` command runs no code of the app (no lifecycle script, no build backend) and may
therefore write the shared cache. A ``SCRIPTS`` command may run anything, so it sees no cache.
Both reach registries only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pytest_dora.model.plan import Manager, Package
from pytest_dora.runtime.files import read_regular

CACHE = "/dora-cache"
OUT = "/dora-out"
_MANIFEST_BYTES = 2**20


class Trust(StrEnum):
    FETCH = "fetch"
    SCRIPTS = "scripts"


@dataclass(frozen=True)
class Command:
    """One command of an attempt, run in the package's folder."""

    argv: tuple[str, ...]
    trust: Trust
    env: dict[str, str] = field(default_factory=dict)
    wheels_only: bool = False
    """Installs what has a wheel and may leave the rest to the next command."""


@dataclass(frozen=True)
class Attempt:
    """One way to install a package; later ones are tried only when earlier ones failed."""

    name: str
    commands: tuple[Command, ...]
    frozen: bool
    """The lockfile decided every version."""


def attempts(package: Package, root: Path, python: str | None) -> tuple[Attempt, ...]:
    """Every way to install ``package`` (its tree lies under ``root``), the strictest first.

    ``python`` is the interpreter for a Python package. An empty answer means that there is
    nothing to install.
    """
    return tuple(_RECIPES[package.manager](package, root, python or "python3"))


def _fetch(*argv: str, **env: str) -> Command:
    return Command(argv, Trust.FETCH, env)


def _scripts(*argv: str, **env: str) -> Command:
    return Command(argv, Trust.SCRIPTS, env)


# --- node -----------------------------------------------------------------------------------


def _manifest(package: Package, root: Path) -> dict[str, object]:
    try:
        parsed = json.loads(_read(package, root, "package.json") or b"{}")
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _read(package: Package, root: Path, name: str) -> bytes:
    return read_regular(root, str(Path(package.path, name)), _MANIFEST_BYTES) or b""


_LIFECYCLE = ("preinstall", "install", "postinstall", "prepare")


def _root_scripts(
    package: Package, root: Path, names: tuple[str, ...] = _LIFECYCLE
) -> Iterator[Command]:
    """The project's own lifecycle scripts, in npm's order."""
    scripts = _manifest(package, root).get("scripts")
    if isinstance(scripts, dict):
        for name in names:
            if isinstance(scripts.get(name), str):
                yield _scripts(package.manager.value, "run", name)


def _npm(package: Package, root: Path, _python: str) -> Iterator[Attempt]:
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    cache = {"npm_config_cache": f"{CACHE}/npm"}
    # a rebuild runs the project's own scripts as well, all but the last
    rebuild = _scripts("npm", "rebuild", "--no-audit", "--no-fund")
    after = (rebuild, *_root_scripts(package, root, ("prepare",)))
    if package.lockfile:
        # the lockfile names every tarball by its hash: nothing in the cache can be stale
        frozen = _fetch("npm", "ci", "--prefer-offline", *flags, **cache)
        yield Attempt("npm ci", (frozen, *after), frozen=True)
    yield Attempt("npm install", (_fetch("npm", "install", *flags, **cache), *after), frozen=False)


def _bun(package: Package, root: Path, _python: str) -> Iterator[Attempt]:
    if b"scanner" in _read(package, root, "bunfig.toml"):
        # a security scanner is a package of the app's choice that runs during the install
        yield Attempt("bun install", (_scripts("bun", "install", "--no-progress"),), False)
        return
    env = {"BUN_INSTALL_CACHE_DIR": f"{CACHE}/bun"}
    fetch = ("bun", "install", "--ignore-scripts", "--backend=copyfile", "--no-progress")
    after = tuple(_root_scripts(package, root))
    if package.lockfile:
        frozen = _fetch(*fetch, "--frozen-lockfile", **env)
        yield Attempt("bun install --frozen-lockfile", (frozen, *after), frozen=True)
    yield Attempt("bun install", (_fetch(*fetch, **env), *after), frozen=False)


def _pnpm(package: Package, root: Path, _python: str) -> Iterator[Attempt]:
    fetch = (
        "pnpm", "install", "--ignore-scripts", "--ignore-pnpmfile", "--reporter=append-only",
        "--store-dir", f"{CACHE}/pnpm", "--package-import-method=copy",
    )  # fmt: skip
    after = (_scripts("pnpm", "rebuild"), *_root_scripts(package, root))
    if package.lockfile:
        frozen = _fetch(*fetch, "--frozen-lockfile")
        yield Attempt("pnpm install --frozen-lockfile", (frozen, *after), frozen=True)
    loose = _fetch(*fetch, "--no-frozen-lockfile")
    yield Attempt("pnpm install", (loose, *after), frozen=False)


def _yarn(package: Package, root: Path, _python: str) -> Iterator[Attempt]:
    after = tuple(_root_scripts(package, root))
    if (package.manager_version or "1").split(".")[0] not in ("0", "1"):
        # plugins and yarnPath make every command of yarn 2 and later run code of the app
        if package.lockfile:
            immutable = _scripts("yarn", "install", "--immutable")
            yield Attempt("yarn install --immutable", (immutable,), frozen=True)
        yield Attempt("yarn install", (_scripts("yarn", "install", "--no-immutable"),), False)
        return
    if os.path.lexists(root / package.path / ".yarnrc"):
        # its lines become arguments of every command, also ones that run code
        words = ("yarn", "install", "--non-interactive", "--no-progress")
        yield Attempt("yarn install", (_scripts(*words),), frozen=False)
        return
    fetch = ("yarn", "install", "--ignore-scripts", "--non-interactive", "--no-progress")
    env = {"YARN_CACHE_FOLDER": f"{CACHE}/yarn"}
    if package.lockfile:
        frozen = _fetch(*fetch, "--frozen-lockfile", **env)
        yield Attempt("yarn install --frozen-lockfile", (frozen, *after), frozen=True)
    yield Attempt("yarn install", (_fetch(*fetch, **env), *after), frozen=False)


# --- python ---------------------------------------------------------------------------------


def _uv(package: Package, root: Path, python: str) -> Iterator[Attempt]:
    if not package.lockfile:
        yield from _pip(package, root, python)
        return
    groups = tuple(word for group in package.groups for word in ("--group", group))
    sync = ("uv", "sync", "--frozen", "--python", python, *groups)
    project = () if package.installs_project else ("--no-install-project",)
    fetch = _fetch(*sync, "--no-install-project", "--no-build")
    venv = _venv(python)
    yield Attempt(
        "uv sync --frozen",
        (*venv, fetch, *((_scripts(*sync),) if package.installs_project else ()), *_extra(package)),
        frozen=True,
    )
    built = _scripts(*sync, *project)
    yield Attempt(
        "uv sync --frozen, building sources", (*venv, built, *_extra(package)), frozen=True
    )
    yield from _pip(package, root, python)


def _venv(python: str) -> tuple[Command, Command]:
    """An environment that is new: uv runs its interpreter, and so whatever was put into it."""
    return _fetch("rm", "-rf", ".venv"), _fetch("uv", "venv", "--python", python, ".venv")


def _extra(package: Package) -> tuple[Command, ...]:
    """What the app's image installs beside its manifests (``RUN pip install gunicorn``).

    By now packages have been installed, which run whenever the interpreter starts.
    """
    extra = package.extra_requirements
    install = ("uv", "pip", "install", "--python", ".venv/bin/python", "--no-build")
    return (_scripts(*install, *extra),) if extra else ()


def _pip(package: Package, _root: Path, python: str) -> Iterator[Attempt]:
    sources: list[str] = []
    for manifest in package.manifests:
        sources += ["-r", Path(manifest).name if "/" in manifest else manifest]
    if sources or not package.installs_project:
        sources += package.extra_requirements  # all there is, for a Pipfile
    if not sources and not package.installs_project:
        return
    venv = _venv(python)
    install = ("uv", "pip", "install", "--python", ".venv/bin/python")
    project = (_scripts(*install, "--no-deps", "-e", "."),) if package.installs_project else ()
    frozen = package.lockfile is not None
    if sources:
        wheels = _fetch(*install, "--no-build", *sources)
        yield Attempt("uv pip install", (*venv, wheels, *project), frozen)
        # what has a wheel still comes from the cache, which no build of the app may write
        most = Command(wheels.argv, Trust.FETCH, wheels_only=True)
        built = _scripts(*install, *sources)
        yield Attempt("uv pip install, building sources", (*venv, most, built, *project), frozen)
    else:
        editable = _scripts(*install, "-e", ".")
        yield Attempt("uv pip install .", (*venv, editable, *_extra(package)), frozen)


_REQUIREMENTS = """
import sys
from pathlib import Path
from poetry.core.factory import Factory
package = Factory().create_poetry(Path.cwd()).package
wanted = list(package.requires)
for group in sys.argv[2:]:
    if package.has_dependency_group(group):
        wanted += package.dependency_group(group).dependencies
lines = [one.to_pep_508() for one in wanted if not one.is_optional()]
Path(sys.argv[1]).write_text("\\n".join(lines))
"""
_POETRYS_PYTHON = 'exec "$(dirname "$(readlink -f "$(command -v poetry)")")/python" -I -c "$0" "$@"'
"""Runs a program on the interpreter that Poetry itself runs on, for only that has poetry-core."""


def _poetry(package: Package, _root: Path, python: str) -> Iterator[Attempt]:
    """What poetry.lock says, by way of its export: uv reads that, wheels come from the cache.

    Poetry loads plugins out of the project's folder, so its commands are none of ours to trust.
    Without a lockfile that fits it is pyproject.toml, in words that uv does not know.
    """
    listed = f"{OUT}/poetry-requirements.txt"
    groups = tuple(word for group in package.groups for word in ("--with", group))
    export = _scripts("poetry", "export", "--no-interaction", *groups, "-o", listed)
    write = _scripts("sh", "-c", _POETRYS_PYTHON, _REQUIREMENTS, listed, *package.groups)
    ways = [("poetry export", export, True)] if package.lockfile else []
    for name, first, frozen in (*ways, ("pyproject.toml of Poetry", write, False)):
        install = ("uv", "pip", "install", "--python", ".venv/bin/python")
        wheels = _fetch(*install, "--no-build", "-r", listed)
        most = Command(wheels.argv, Trust.FETCH, wheels_only=True)
        built = _scripts(*install, "-r", listed)
        editable = _scripts(*install, "--no-deps", "-e", ".")
        after = (*((editable,) if package.installs_project else ()), *_extra(package))
        start = (first, *_venv(python))
        yield Attempt(name, (*start, wheels, *after), frozen)
        yield Attempt(f"{name}, building sources", (*start, most, built, *after), frozen)


# --- others ---------------------------------------------------------------------------------


def _go(package: Package, root: Path, _python: str) -> Iterator[Attempt]:
    raw = read_regular(root, str(Path(package.path, "go.mod")), _MANIFEST_BYTES) or b""
    if b"require" not in raw:
        return
    fetch = _fetch("go", "mod", "download", GOMODCACHE=f"{CACHE}/go")
    yield Attempt("go mod download", (fetch,), frozen=package.lockfile is not None)


def _composer(package: Package, _root: Path, _python: str) -> Iterator[Attempt]:
    flags = ("--no-interaction", "--no-progress", "--prefer-dist", "--no-scripts", "--no-plugins")
    fetch = _fetch("composer", "install", *flags, COMPOSER_CACHE_DIR=f"{CACHE}/composer")
    scripts = _scripts("composer", "dump-autoload", "--no-interaction")
    yield Attempt("composer install", (fetch, scripts), frozen=package.lockfile is not None)


_RECIPES: dict[Manager, Callable[[Package, Path, str], Iterator[Attempt]]] = {
    Manager.NPM: _npm,
    Manager.BUN: _bun,
    Manager.PNPM: _pnpm,
    Manager.YARN: _yarn,
    Manager.UV: _uv,
    Manager.PIP: _pip,
    Manager.POETRY: _poetry,
    Manager.GO: _go,
    Manager.COMPOSER: _composer,
}

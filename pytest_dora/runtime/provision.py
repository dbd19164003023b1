"""Fetching package managers that an app pins and the host lacks, into our own cache.

Only programs of the registry are fetched, by name and version, and nothing of theirs is run
while they are: no lifecycle scripts, no settings of the app, none of the caller's but where the
registry is and how it is reached.
"""

from __future__ import annotations

import functools
import json
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from pytest_dora.runtime.host import Host, Toolchain, ToolMissing
from pytest_dora.runtime.versions import is_exact, parse

_SECONDS = 300.0
_SPEC = re.compile(r"[0-9]{1,9}|latest")
_REGISTRY_KEYS = re.compile(
    r"\s*(?://|registry\s*=|@(?:oven|yarnpkg):registry\s*=|(?:https?-)?proxy\s*=|no-?proxy\s*="
    r"|ca(?:file|\[\])?\s*=|strict-ssl\s*=)"
)
_REGISTRY_VARIABLES = re.compile(
    r"npm_config_(?:registry|https?_proxy|proxy|no_?proxy|cafile|strict_ssl)", re.IGNORECASE
)


@dataclass(frozen=True)
class NpmTool:
    """A program of the npm registry: its package, and its files that are commands."""

    name: str
    package: str
    commands: Mapping[str, str]
    """Command to file, relative to the package's folder."""


def yarn_tool(major: int) -> NpmTool:
    """Yarn's first line and its rewrite are packages of different names."""
    package, file = ("yarn", "bin/yarn.js") if major < 2 else ("@yarnpkg/cli-dist", "bin/yarn.js")
    return NpmTool("yarn", package, {"yarn": file, "yarnpkg": file})


def pnpm_tool(major: int) -> NpmTool:
    suffix = "mjs" if major >= 11 else "cjs"
    return NpmTool("pnpm", "pnpm", {"pnpm": f"bin/pnpm.{suffix}", "pnpx": f"bin/pnpx.{suffix}"})


def bun_tool() -> NpmTool:
    """The package that carries the binary itself: the one called ``bun`` would link it in a
    lifecycle script. Raises ToolMissing on a machine for which there is none.
    """
    package = _bun_package(platform.machine(), _cpu_flags(), musl=_has_musl())
    return NpmTool("bun", package, {"bun": "bin/bun", "bunx": "bin/bun"})


def _has_musl() -> bool:
    return any(Path("/lib").glob("ld-musl-*"))


def _bun_package(machine: str, flags: frozenset[str], *, musl: bool) -> str:
    name = {"x86_64": "x64", "amd64": "x64", "aarch64": "aarch64", "arm64": "aarch64"}.get(machine)
    if name is None:
        raise ToolMissing("bun", f"bun does not run on {machine}", "use another machine")
    baseline = "-baseline" if name == "x64" and "avx2" not in flags else ""
    return f"@oven/bun-linux-{name}{'-musl' if musl else ''}{baseline}"


@functools.cache
def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return frozenset()
    flags = (line for line in text.splitlines() if line.startswith("flags"))
    return frozenset(next(flags, "").split())


def provision_npm(host: Host, tool: NpmTool, wanted: str, npm: Toolchain) -> Path:
    """The folder of the tool in the cache, fetched when it is not there yet.

    ``wanted`` is an exact version, a major, or ``latest``; for the last two any version already
    in the cache that fits will do. Raises ToolMissing when the registry cannot be reached or
    does not have it.
    """
    exact = is_exact(wanted)
    if not exact and not _SPEC.fullmatch(wanted):
        raise ToolMissing(tool.name, f"{wanted!r} is no version of {tool.name}", "correct the pin")
    tools = host.cache / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    with FileLock(tools / f".{tool.name}.lock", timeout=_SECONDS * 2):
        found = _cached(tools, tool.name, wanted)
        if found is not None:
            return found
        with staging_folder(tools) as staging:
            _npm_install(host, npm, tool, wanted, staging)
            version = _finish(staging, tool)
            final = tools / f"{tool.name}-{version}"
            shutil.rmtree(final, ignore_errors=True)
            staging.rename(final)
            return final


def _cached(tools: Path, name: str, wanted: str) -> Path | None:
    if is_exact(wanted):
        exact = tools / f"{name}-{wanted}"
        return exact if exact.is_dir() else None
    fitting = [
        (version, path)
        for path in tools.glob(f"{name}-*")
        if is_exact(path.name.removeprefix(f"{name}-"))
        and (version := parse(path.name)) is not None
        and wanted in ("latest", str(version[0]))
    ]
    return max(fitting)[1] if fitting else None


@contextmanager
def staging_folder(tools: Path) -> Iterator[Path]:
    """A folder beside the finished ones, so that finishing is one rename."""
    staging = Path(tempfile.mkdtemp(prefix=".fetching-", dir=tools))
    staging.chmod(0o755)  # a sandbox reads it as another user
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _npm_install(host: Host, npm: Toolchain, tool: NpmTool, wanted: str, staging: Path) -> None:
    settings = staging / ".npmrc-registry"
    settings.touch(mode=0o600)
    settings.write_text(_registry_settings(host), encoding="utf-8")
    argv = [str(npm.executable), "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    argv += ["--no-save", "--no-package-lock", "--no-update-notifier"]
    argv += ["--fetch-retries=1", "--fetch-retry-mintimeout=500"]
    argv += ["--prefix", str(staging), "--userconfig", str(settings)]
    argv += ["--globalconfig", str(staging / ".npmrc-none"), "--cache", str(staging / ".npm")]
    argv += [f"{tool.package}@{wanted}"]
    ran = host.run(argv, env=_npm_environment(host, npm), cwd=staging, timeout=_SECONDS)
    settings.unlink()
    shutil.rmtree(staging / ".npm", ignore_errors=True)
    if ran.status != 0:
        raise ToolMissing(
            tool.name,
            f"{tool.name} {wanted} is not here and could not be fetched ({_npm_error(ran.stderr)})",
            f"npm install --global {tool.name}@{wanted}",
        )


def _npm_environment(host: Host, npm: Toolchain) -> dict[str, str]:
    """The caller's environment without any setting of npm but where the registry is."""
    env = {
        name: value
        for name, value in host.environ.items()
        if not name.lower().startswith("npm_config_") or _REGISTRY_VARIABLES.fullmatch(name)
    }
    folders = (str(npm.executable.parent), *map(str, npm.bin_dirs), env.get("PATH", "/usr/bin"))
    return {**env, "PATH": ":".join(folders)}


def _registry_settings(host: Host) -> str:
    """The lines of the caller's npmrc that say where the registry is and how it is reached."""
    chosen = host.environ.get("NPM_CONFIG_USERCONFIG") or host.environ.get("npm_config_userconfig")
    try:
        text = Path(chosen or host.home / ".npmrc").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "".join(f"{line}\n" for line in text.splitlines() if _REGISTRY_KEYS.match(line))


def _npm_error(stderr: str) -> str:
    lines = [line.removeprefix("npm").lstrip() for line in stderr.splitlines()]
    errors = [re.sub(r"^(?:error|ERR!)\s*", "", x) for x in lines if re.match("error|ERR!", x)]
    telling = [x for x in errors if x and not x.startswith(("A complete log", "code "))]
    return (telling or errors or ["npm said nothing"])[0][:200]


def _finish(staging: Path, tool: NpmTool) -> str:
    """Link the commands into ``bin``; the version that was installed."""
    folder = staging / "node_modules" / tool.package
    version = str(json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"])
    if not is_exact(version):
        raise ToolMissing(tool.name, f"the registry sent {version!r}", "pin an exact version")
    bin_dir = staging / "bin"
    bin_dir.mkdir(mode=0o755)
    for command, file in tool.commands.items():
        program = folder / file
        program.chmod(0o755)
        (bin_dir / command).symlink_to(Path("../node_modules", tool.package, file))
    return version

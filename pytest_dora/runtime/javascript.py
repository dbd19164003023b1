"""Node and the package managers of its world: which one an app means, and where it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_dora.model.plan import Manager, Package
from pytest_dora.runtime.files import read_regular
from pytest_dora.runtime.host import Host, Toolchain, ToolMissing, dedupe, install_line, is_script
from pytest_dora.runtime.provision import (
    NpmTool,
    bun_tool,
    pnpm_tool,
    provision_npm,
    yarn_tool,
)
from pytest_dora.runtime.versions import Version, is_exact, parse, satisfies_npm

_ASK = "console.log(process.version); console.log(process.execPath)"
_HEAD_BYTES = 4096
_BUN_TEXT_LOCK: Version = (1, 1, 39)
"""The first bun that reads ``bun.lock``; before, lockfiles were binary."""
_YARN_OF_METADATA = {4: 2, 5: 3, 6: 3}
"""Format of a lockfile's ``__metadata`` to the major version that writes it; above: 4."""


@dataclass(frozen=True)
class Wanted:
    """What an app asks of its package manager."""

    accepts: Callable[[Version], bool]
    """Whether the one that is here will do."""
    fetch: str
    """The version to fetch otherwise: exact, a major, or ``latest``."""
    reason: str


def find_node(host: Host, requirement: str | None) -> Toolchain:
    """The Node on PATH if it satisfies, else a version manager's that does, else any.

    Raises ToolMissing when there is no Node at all. An unsatisfied range is said in ``source``:
    npm itself only warns about it.
    """
    first: tuple[Version, Path, str] | None = None
    managed = sorted(_managed_nodes(host), reverse=True)
    for version, path, source in (*_path_nodes(host), *managed):
        first = first or (version, path, source)
        if not requirement or satisfies_npm(version, requirement):
            return _node(host, version, path, source)
    if first is None:
        raise ToolMissing("node", "Node is not installed", install_line("nodejs npm"))
    readable = satisfies_npm(first[0], requirement or "") is not None
    short = "does not satisfy" if readable else "cannot read"
    return _node(host, first[0], first[1], f"{first[2]}; {short} engines {requirement!r}"[:200])


def _path_nodes(host: Host) -> Iterator[tuple[Version, Path, str]]:
    for name in ("node", "nodejs"):
        for path in host.on_path(name):
            ran = host.run([str(path), "-e", _ASK])  # a shim answers with the real one's path
            lines = ran.stdout.splitlines()
            version = parse(lines[0]) if ran.status == 0 and len(lines) == 2 else None
            if version is not None:
                yield version, Path(lines[1]), "PATH"


def _managed_nodes(host: Host) -> Iterator[tuple[Version, Path, str]]:
    env, home = host.environ, host.home
    data = Path(env.get("XDG_DATA_HOME") or home / ".local/share")
    places = {
        "nvm": Path(env.get("NVM_DIR") or home / ".nvm") / "versions/node",
        "fnm": Path(env.get("FNM_DIR") or data / "fnm") / "node-versions",
        "volta": Path(env.get("VOLTA_HOME") or home / ".volta") / "tools/image/node",
        "asdf": Path(env.get("ASDF_DATA_DIR") or home / ".asdf") / "installs/nodejs",
        "mise": Path(env.get("MISE_DATA_DIR") or data / "mise") / "installs/node",
    }
    for name, folder in places.items():
        for entry in folder.iterdir() if folder.is_dir() else ():
            program = entry / ("installation/bin/node" if name == "fnm" else "bin/node")
            if is_exact(entry.name.removeprefix("v")) and program.is_file():
                version = parse(entry.name)
                if version is not None:
                    yield version, program.resolve(), name


def _node(host: Host, version: Version, path: Path, source: str) -> Toolchain:
    text = ".".join(map(str, version))
    bin_dirs, mounts = host.expose("node", text, {"node": path}, ())
    return Toolchain("node", text, bin_dirs, mounts, source, path)


def find_npm(host: Host, node: Toolchain) -> Toolchain:
    """The npm that came with this Node. Raises ToolMissing."""
    beside = node.executable.parent / "npm"
    for path in (beside, *host.on_path("npm")):
        package = _package_of(path, "npm")
        if package is None:
            continue
        folder, version = package
        programs = {"npm": folder / "bin/npm-cli.js", "npx": folder / "bin/npx-cli.js"}
        if folder.is_relative_to("/usr") and path.parent.is_relative_to("/usr"):
            return Toolchain("npm", version, (path.parent,), (), "with node", path)
        bin_dirs, mounts = host.expose("npm", version, programs, (folder,))
        return Toolchain("npm", version, bin_dirs, mounts, "with node", path)
    raise ToolMissing("npm", "npm is not installed", install_line("npm"))


def _package_of(program: Path, name: str) -> tuple[Path, str] | None:
    """The package a command belongs to, and its version. None for a shim or another program.

    Reading the manifest spares starting the program, which takes npm a third of a second.
    """
    if not program.is_file():
        return None
    for folder in program.resolve().parents[:4]:
        try:
            manifest = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(manifest, dict) and manifest.get("name") == name:
            version = manifest.get("version")
            return (folder, version) if isinstance(version, str) and is_exact(version) else None
        return None  # corepack's shims lie in corepack's package
    return None


def find_manager(
    host: Host, package: Package, root: Path | None, node: Toolchain | None
) -> Toolchain:
    """The bun, pnpm or yarn that an app means: the host's when it fits, else from the registry.

    ``root`` is the app's folder, whose lockfile says by its format which majors can read it.
    """
    wanted = wanted_version(package, root)
    for found in installed_managers(host, package.manager):
        version = parse(found.version)
        if version is not None and wanted.accepts(version):
            return replace(found, env=_environment(package.manager))
    if node is None:
        node = find_node(host, None)
    tool = _npm_tool(package.manager, wanted.fetch)
    npm = find_npm(host, node)
    try:
        folder = provision_npm(host, tool, wanted.fetch, npm)
    except ToolMissing:
        pinned = parse(wanted.fetch)
        if not is_exact(wanted.fetch) or pinned is None:
            raise
        folder = _nearest(host, tool, pinned, npm)
    fetched = folder.name.removeprefix(f"{tool.name}-")
    short = is_exact(wanted.fetch) and wanted.fetch != fetched
    return Toolchain(
        name=tool.name,
        version=fetched,
        bin_dirs=(folder / "bin",),
        mounts=(folder,),
        source=f"npm registry, {wanted.reason}" + (f" as {wanted.fetch}" if short else ""),
        executable=folder / "bin" / tool.name,
        env=_environment(package.manager),
    )


def _nearest(host: Host, tool: NpmTool, pinned: Version, npm: Toolchain) -> Path:
    """Any of the same major: not every version that was ever pinned is in a registry."""
    return provision_npm(host, tool, str(pinned[0]), npm)


def _npm_tool(manager: Manager, fetch: str) -> NpmTool:
    major = (parse(fetch) or (1, 0, 0))[0]
    if manager is Manager.YARN:
        return yarn_tool(major)
    return pnpm_tool(major) if manager is Manager.PNPM else bun_tool()


def _environment(manager: Manager) -> tuple[tuple[str, str], ...]:
    """Keep a manager from replacing itself by another version, or by a file of the app."""
    match manager:
        case Manager.PNPM:
            return (
                ("npm_config_manage_package_manager_versions", "false"),
                ("pnpm_config_pm_on_fail", "ignore"),
            )
        case Manager.YARN:
            return (("YARN_IGNORE_PATH", "1"), ("SKIP_YARN_COREPACK_CHECK", "1"))
        case _:
            return ()


def installed_managers(host: Host, manager: Manager) -> Iterator[Toolchain]:
    """Every bun, pnpm or yarn of this machine that is no shim, in the order of PATH."""
    name = manager.value
    places = [*host.on_path(name)]
    if manager is Manager.BUN:
        places.append(host.home / ".bun/bin/bun")
    if manager is Manager.YARN:
        places += host.on_path("yarnpkg")
    for path in places:
        found = _js_manager(host, name, path) or _binary_manager(host, name, path)
        if found is not None:
            yield found


def _js_manager(host: Host, name: str, path: Path) -> Toolchain | None:
    for package_name in (name, "@yarnpkg/cli-dist", "@pnpm/exe"):
        package = _package_of(path, package_name)
        if package is None or (package_name.startswith("@") and name not in package_name):
            continue
        folder, version = package
        bin_dirs, mounts = host.expose(name, version, {name: path}, (folder,))
        if folder.is_relative_to("/usr"):
            mounts = dedupe(mounts)
        return Toolchain(name, version, bin_dirs, mounts, "PATH", path)
    return None


def _binary_manager(host: Host, name: str, path: Path) -> Toolchain | None:
    """A compiled one (bun, standalone pnpm). Scripts are shims that might fetch something."""
    if not path.is_file() or is_script(path) or "volta" in path.resolve().name:
        return None
    ran = host.run([str(path), "--version"])
    version = ran.stdout.strip()
    if ran.status != 0 or not is_exact(version):
        return None
    programs = {name: path, **({"bunx": path} if name == "bun" else {})}
    bin_dirs, mounts = host.expose(name, version, programs, ())
    return Toolchain(name, version, bin_dirs, mounts, "PATH", path)


# --- what an app asks for -------------------------------------------------------------------


def wanted_version(package: Package, root: Path | None) -> Wanted:
    """The pin of the app, else what the format of its lockfile needs, else our default."""
    pin = package.manager_version
    pinned = parse(pin) if pin is not None and is_exact(pin) else None
    if pin is not None and pinned is not None:
        return Wanted(lambda v: v[0] == pinned[0], pin, "pinned by packageManager")
    head = _lock_head(package, root)
    match package.manager:
        case Manager.PNPM:
            return _wanted_pnpm(head)
        case Manager.YARN:
            return _wanted_yarn(head, _yarnrc(package, root))
        case _:
            text_lock = (package.lockfile or "").endswith("bun.lock")
            oldest = _BUN_TEXT_LOCK if text_lock else (1, 0, 0)
            return Wanted(lambda v: v >= oldest, "latest", "the newest")


def _lock_head(package: Package, root: Path | None) -> str:
    if root is None or package.lockfile is None:
        return ""
    return (read_regular(root, package.lockfile, _HEAD_BYTES) or b"").decode("utf-8", "replace")


def _wanted_pnpm(head: str) -> Wanted:
    found = re.search(r"^lockfileVersion:\s*['\"]?(\d+)", head, re.MULTILINE)
    match int(found[1]) if found else None:
        case None:
            return Wanted(lambda v: v[0] >= 8, "10", "no lockfile")
        case written if written <= 5:
            return Wanted(lambda v: v[0] in (6, 7), "7", "for lockfile 5")
        case written if written <= 8:
            return Wanted(lambda v: v[0] in (8, 9), "8", "for lockfile 6")
        case _:
            return Wanted(lambda v: v[0] >= 9, "10", "for lockfile 9")


def _wanted_yarn(head: str, yarnrc: str | None) -> Wanted:
    committed = re.search(r"^yarnPath:.*yarn-(\d+\.\d+\.\d+)\.c?js", yarnrc or "", re.MULTILINE)
    metadata = re.search(r"^__metadata:\s+version:\s*['\"]?(\d+)", head, re.MULTILINE)
    if committed is not None:
        major = int(committed[1].split(".")[0])
        return Wanted(lambda v: v[0] == major, committed[1], "named by .yarnrc.yml")
    if metadata is not None:
        major = _YARN_OF_METADATA.get(int(metadata[1]), 4)
        return Wanted(lambda v: v[0] == major, str(major), f"for lockfile {metadata[1]}")
    if yarnrc is not None and "# yarn lockfile v1" not in head:
        return Wanted(lambda v: v[0] >= 2, "4", "there is a .yarnrc.yml")
    return Wanted(lambda v: v[0] == 1, "1", "for lockfile 1" if head else "no lockfile")


def _yarnrc(package: Package, root: Path | None) -> str | None:
    if root is None:
        return None
    path = ".yarnrc.yml" if package.path == "." else f"{package.path}/.yarnrc.yml"
    data = read_regular(root, path, _HEAD_BYTES)
    return None if data is None else data.decode("utf-8", "replace")

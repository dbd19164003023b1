"""The Python interpreters of this machine, and the one that suits an app."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet

from pytest_dora.runtime.host import Host, Toolchain, ToolMissing, is_script
from pytest_dora.runtime.versions import Version, parse, python_requirement

_PROBE = (
    "import sys; v = sys.version_info; print(v.releaselevel, v.major, v.minor, v.micro, "
    "getattr(sys, '_base_executable', sys.executable), sys.base_prefix, "
    "sys.implementation.name, sep='\\n')"
)
_RELEASE = re.compile(r"\d+\.\d+\.\d+")
_UV_FOLDER = re.compile(r"cpython-(\d+\.\d+\.\d+)-")
_NEWEST = (3, 13)
"""Where an app has no upper bound, newer ones are avoided: its pins have no wheels for them."""
_USUAL = ((3, 12), (3, 11), (3, 13), (3, 10))
"""What apps that name no version were written for, the likeliest first."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that is no virtual environment's and no version manager's shim."""

    version: Version
    executable: Path
    prefix: Path
    source: str

    @property
    def minor(self) -> tuple[int, int]:
        return self.version[:2]


def find_interpreters(host: Host) -> tuple[Interpreter, ...]:
    """Every usable interpreter, newest first; of the same version the first place found."""
    found: dict[Version, Interpreter] = {}
    for one in (*_installed(host), *_on_path(host)):
        if one.prefix.is_relative_to("/usr") or host.is_private(one.prefix):
            found.setdefault(one.version, one)
    return tuple(sorted(found.values(), key=lambda one: one.version, reverse=True))


def _installed(host: Host) -> Iterator[Interpreter]:
    """Those in the folders of version managers, read off the folders' names."""
    env, home = host.environ, host.home
    data = Path(env.get("XDG_DATA_HOME") or home / ".local/share")
    places = [
        ("pyenv", Path(env.get("PYENV_ROOT") or home / ".pyenv") / "versions", _RELEASE),
        ("uv", Path(env.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python"), _UV_FOLDER),
        ("asdf", Path(env.get("ASDF_DATA_DIR") or home / ".asdf") / "installs/python", _RELEASE),
        ("mise", Path(env.get("MISE_DATA_DIR") or data / "mise") / "installs/python", _RELEASE),
    ]
    for name, folder, pattern in places:
        for prefix in sorted(folder.iterdir()) if folder.is_dir() else ():
            named = pattern.match(prefix.name)
            version = parse(named[0]) if named and not prefix.is_symlink() else None
            if version is None or (pattern is _RELEASE and named and named[0] != prefix.name):
                continue  # 3.13t, pypy3.10, miniconda, a link to one of the others
            real = prefix.resolve()
            executable = real / "bin" / f"python{version[0]}.{version[1]}"
            if executable.is_file():
                yield Interpreter(version, executable, real, name)


def _on_path(host: Host) -> Iterator[Interpreter]:
    ours = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    yield Interpreter(sys.version_info[:3], ours, Path(sys.base_prefix).resolve(), "this Python")
    names = ["python3", "python", *(f"python3.{minor}" for minor in range(8, 30))]
    asked: set[Path] = {ours}
    for name in names:
        for path in (*host.on_path(name), Path("/usr/bin", name), Path("/usr/local/bin", name)):
            real = path.resolve()
            # a shim of a version manager answers for the folder it is run in
            if real not in asked and real.is_file() and not is_script(real):
                asked.add(real)
                yield from _ask(host, path)


def _ask(host: Host, path: Path) -> Iterator[Interpreter]:
    ran = host.run([str(path), "-I", "-S", "-c", _PROBE])
    lines = ran.stdout.splitlines()
    if ran.status != 0 or len(lines) != 7 or lines[0] != "final" or lines[6] != "cpython":
        return
    version = (int(lines[1]), int(lines[2]), int(lines[3]))
    prefix = Path(lines[5]).resolve()
    yield Interpreter(version, Path(lines[4]).resolve(), prefix, "PATH")


def choose(interpreters: Sequence[Interpreter], requirement: str | None) -> Interpreter | None:
    """The interpreter for an app; None when none satisfies what it requires.

    A constraint that cannot be read counts as none.
    """
    specifiers = python_requirement(requirement)
    usable = [one for one in interpreters if specifiers is None or _allows(specifiers, one.version)]
    if not usable:
        return None
    if specifiers is None:
        for minor in _USUAL:
            for one in usable:
                if one.minor == minor:
                    return one
    return next((one for one in usable if one.minor <= _NEWEST), usable[-1])


def _allows(specifiers: SpecifierSet, version: Version) -> bool:
    """An exact patch is satisfied by any of its minor: nobody keeps them all."""
    text = ".".join(map(str, version))
    return all(
        one.contains(text) or (one.operator == "==" and parse(one.version)[:2] == version[:2])  # type: ignore[index]
        for one in specifiers
    )


def python_toolchain(
    host: Host, interpreters: Sequence[Interpreter], requirement: str | None
) -> Toolchain:
    """Raises ToolMissing naming what is here and what would satisfy the app."""
    one = choose(interpreters, requirement)
    if one is None:
        minors = dict.fromkeys(f"{i.version[0]}.{i.version[1]}" for i in interpreters)
        here = ", ".join(minors) or "none"
        wanted = parse(requirement or "") or (3, 12, 0)
        raise ToolMissing(
            "python",
            f"no Python satisfies {requirement!r} (here: {here})",
            f"uv python install {wanted[0]}.{wanted[1]}",
        )
    note = "" if python_requirement(requirement) or not requirement else "; cannot read "
    return Toolchain(
        name="python",
        version=".".join(map(str, one.version)),
        bin_dirs=(one.executable.parent,),
        mounts=_mounts(host, one),
        source=f"{one.source}{note}{requirement if note else ''}",
        executable=one.executable,
        env=(("UV_PYTHON", str(one.executable)), ("UV_PYTHON_DOWNLOADS", "never")),
    )


def _mounts(host: Host, one: Interpreter) -> tuple[Path, ...]:
    needed: Iterable[Path] = host.mounts_for(one.executable)
    return tuple(
        path for path in dict.fromkeys((*needed, one.prefix)) if not path.is_relative_to("/usr")
    )

"""Programs of the host: finding them, asking them, and making them visible in a sandbox."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_STORES = tuple(map(Path, ("/nix/store", "/gnu/store", "/home/linuxbrew/.linuxbrew")))
"""Where a program's libraries lie in folders beside its own, so the whole store is needed."""
_PACKAGE_MANAGERS = {
    "apt-get install": ("debian", "ubuntu"),
    "dnf install": ("fedora", "rhel", "centos"),
    "apk add": ("alpine",),
    "pacman -S": ("arch",),
    "zypper install": ("suse", "opensuse"),
}
_PROBE_SECONDS = 20.0


@dataclass(frozen=True)
class Toolchain:
    """A program that runs or installs an app, and what a sandbox must see of the host for it.

    ``mounts`` are visible read-only at the same path, beyond /usr. They are folders or single
    files, never a home folder. ``bin_dirs`` belong on PATH in this order.
    """

    name: str
    version: str
    bin_dirs: tuple[Path, ...]
    mounts: tuple[Path, ...]
    source: str
    """Where it was found, and in what it falls short of what the app asks for."""
    executable: Path
    env: tuple[tuple[str, str], ...] = ()
    """Variables that keep it from fetching or switching to another version of itself."""


class ToolMissing(Exception):
    """A program that an app needs is not here; ``way_out`` is the one line that installs it."""

    def __init__(self, tool: str, message: str, way_out: str) -> None:
        super().__init__(f"{message} (way out: {way_out})")
        self.tool = tool
        self.message = message
        self.way_out = way_out


class Ran(NamedTuple):
    """How a host program ended; ``status`` is 127 when it could not be started, 124 when it
    took too long.
    """

    status: int
    stdout: str
    stderr: str


Runner = Callable[[Sequence[str], Mapping[str, str], Path, float], Ran]


def run_host(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path = Path("/"),
    timeout: float = _PROBE_SECONDS,
) -> Ran:
    """Run a program of the host that we trust; never for anything of an app."""
    try:
        process = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            umask=0o022,  # another user reads it in the sandbox
        )
    except OSError as error:
        return Ran(127, "", str(error))
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return Ran(124, out, f"{err}\nno end within {timeout:g} s")
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return Ran(process.returncode, out, err)


class Host:
    """The machine as seen through an environment: its PATH, its home, what runs programs."""

    def __init__(
        self, cache: Path, run: Runner | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.cache = cache
        self.environ: Mapping[str, str] = dict(os.environ if environ is None else environ)
        self.home = Path(self.environ.get("HOME") or Path.home())
        self._run = run or run_host

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = Path("/"),
        timeout: float = _PROBE_SECONDS,
    ) -> Ran:
        return self._run(argv, self.environ if env is None else env, cwd, timeout)

    def on_path(self, name: str) -> Iterator[Path]:
        """Every executable of that name on PATH, as found (links are not followed)."""
        for folder in self.environ.get("PATH", os.defpath).split(os.pathsep):
            path = Path(folder, name)
            if folder.startswith("/") and path.is_file() and os.access(path, os.X_OK):
                yield path

    def mounts_for(self, program: Path) -> tuple[Path, ...]:
        """What a program at this resolved path needs to be visible: its installation prefix when
        that is its own, else the file alone.
        """
        for store in _STORES:
            if program.is_relative_to(store):
                return (store,)
        if program.is_relative_to("/usr"):
            return ()
        prefix = program.parent.parent
        if program.parent.name == "bin" and self.is_private(prefix):
            return (prefix,)
        return (program,)

    def is_private(self, prefix: Path) -> bool:
        """Whether a folder is one installation's own, so that showing it shows nothing else."""
        shared = {self.home / ".local", self.home / ".cache", self.home / ".config"}
        return (
            len(prefix.parts) > 2
            and prefix not in shared
            and not self.home.is_relative_to(prefix)
            and not (prefix / "pyvenv.cfg").exists()
        )

    def expose(
        self, name: str, version: str, programs: Mapping[str, Path], mounts: Iterable[Path]
    ) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """``bin_dirs`` and ``mounts`` that put these programs, and nothing else, on a PATH.

        Programs outside of /usr are reached through a folder of links in the cache, because the
        folder they lie in may hold much that is no business of an app.
        """
        real = {called: path.resolve() for called, path in programs.items()}
        wanted = dedupe((*mounts, *(m for path in real.values() for m in self.mounts_for(path))))
        folders = {path.parent for path in programs.values()}
        if not wanted and all(folder.is_relative_to("/usr") for folder in folders):
            return tuple(sorted(folders)), ()
        digest = hashlib.sha256(repr(sorted(real.items())).encode()).hexdigest()[:12]
        view = self.cache / "tools" / "views" / f"{name}-{version}-{digest}"
        view.mkdir(parents=True, exist_ok=True, mode=0o755)
        view.chmod(0o755)
        for called, path in real.items():
            _link(view / called, path)
        return (view,), dedupe((view, *wanted))


def dedupe(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Without repetitions, what lies in /usr, and what lies in another one of them."""
    unique = sorted({path for path in paths if not path.is_relative_to("/usr")})
    return tuple(
        path
        for path in unique
        if not any(path != other and path.is_relative_to(other) for other in unique)
    )


def install_line(
    packages: str, fallback: str | None = None, release: Path = Path("/etc/os-release")
) -> str:
    """The command that installs system packages on this distribution (names as on Debian)."""
    try:
        text = release.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    words = text.lower().replace('"', " ").replace("=", " ").split()
    for command, families in _PACKAGE_MANAGERS.items():
        if any(family in words for family in families):
            return f"{command} {packages}"
    return fallback or f"install {packages} with the system's package manager"


def is_script(path: Path) -> bool:
    """Whether a program is a script, as the shims of version managers are."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True


def _link(link: Path, target: Path) -> None:
    """A link that appears whole, however many processes make it at once."""
    if link.is_symlink() and Path(os.readlink(link)) == target:
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)

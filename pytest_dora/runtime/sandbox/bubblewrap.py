"""The command line that makes a bubblewrap sandbox around the supervisor."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_dora.runtime.sandbox.spec import Mount, SandboxSpec

SUPERVISOR = "/dora/supervisor.py"
HOSTNAME = "app"
_ROOT_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "pki",
    "protocols",
    "services",
    "ssl",
    "timezone",
)
"""What programs need of /etc; no passwords, no keys but public certificates, no resolver."""
_CAPABILITIES = (
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_KILL",
    "CAP_SYS_PTRACE",
    "CAP_DAC_READ_SEARCH",
)
"""What the supervisor keeps when the caller is root: to become somebody else, to end what it
started, and to see which process listens on a port. Its children lose all of them."""


def executable() -> str | None:
    """Path of ``bwrap``, or None."""
    return shutil.which("bwrap")


@functools.cache
def _options(bwrap: str) -> str:
    done = subprocess.run([bwrap, "--help"], capture_output=True, text=True, check=False, env={})
    return done.stdout + done.stderr


def interpreter() -> Path:
    """The interpreter behind any virtual environment; the supervisor runs on it."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def interpreter_mounts() -> list[Mount]:
    prefix = Path(sys.base_prefix).resolve()
    return [] if prefix.is_relative_to("/usr") else [Mount(prefix, str(prefix))]


def command(bwrap: str, spec: SandboxSpec, etc: Path, channel: int, as_root: bool) -> list[str]:
    """The whole argument vector. ``etc`` holds the sandbox's own passwd, hosts and so on."""
    argv = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    argv += ["--unshare-cgroup-try", "--as-pid-1", "--hostname", HOSTNAME, "--clearenv"]
    argv += ["--cap-drop", "ALL"]
    if as_root:
        for capability in _CAPABILITIES:
            argv += ["--cap-add", capability]
    else:
        argv += ["--unshare-user"]
        if "--disable-userns" in _options(bwrap):
            argv += ["--disable-userns"]
    argv += list(_system(spec, etc, "--size" in _options(bwrap)))
    for mount in (*interpreter_mounts(), *spec.mounts):
        argv += _parents(mount.inside)
        argv += ["--bind" if mount.writable else "--ro-bind", str(mount.host), mount.inside]
    argv += ["--chdir", "/", "--"]
    return [*argv, str(interpreter()), "-I", "-S", "-B", SUPERVISOR, str(channel)]


def _system(spec: SandboxSpec, etc: Path, sized: bool) -> Iterator[str]:
    yield from ("--proc", "/proc", "--dev", "/dev")
    for folder, size in (("/dev/shm", 2**28), ("/tmp", spec.bounds.tmp_bytes), ("/run", 2**26)):
        if sized:
            yield from ("--size", str(size))
        yield from ("--perms", "1777", "--tmpfs", folder)
    yield from ("--ro-bind", "/usr", "/usr", *_parents("/etc/_"), *_parents("/dora/_"))
    yield from (*_parents("/var/_"), "--perms", "1777", "--dir", "/var/tmp")
    for name in _ROOT_LINKS:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    for name in _ETC:
        path = Path("/etc", name)
        if path.is_symlink():
            path = path.resolve()
        if path.exists():
            yield from ("--ro-bind", str(path), f"/etc/{name}")
    for made in sorted(etc.iterdir()):
        yield from ("--ro-bind", str(made), f"/etc/{made.name}")
    here = Path(__file__).parent
    for name in ("supervisor.py", "landlock.py", "procfs.py"):
        if (here / name).exists():
            yield from ("--ro-bind", str(here / name), f"/dora/{name}")


def _parents(path: str) -> list[str]:
    """Make the folders above a mount readable for all: bubblewrap would make them 0700."""
    made: list[str] = []
    for parent in reversed(Path(path).parents[:-1]):
        if not parent.is_relative_to("/usr"):
            made += ["--perms", "0755", "--dir", str(parent)]
    return made


def write_etc(folder: Path, uid: int, gid: int, home: str, hosts: tuple[str, ...]) -> None:
    """The few files of /etc that are the sandbox's own."""
    folder.mkdir(parents=True, exist_ok=True)
    names = " ".join(("localhost", HOSTNAME, *hosts))
    files = {
        "passwd": f"root:x:0:0:root:/:/bin/sh\napp:x:{uid}:{gid}:app:{home}:/bin/sh\n",
        "group": f"root:x:0:\napp:x:{gid}:\n",
        "hosts": f"127.0.0.1 {names}\n::1 localhost ip6-localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)

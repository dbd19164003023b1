"""Confinement by the Landlock system calls, for machines without bubblewrap.

Read by the host (``rules``) and, inside the supervisor, by the child that becomes the app
(``Confinement``); so this module imports nothing but the standard library.

Landlock confines what paths a process may touch and, from kernel 6.7 on, which TCP ports it may
bind and connect to. It gives no loopback and no process ids of its own.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False  # typing itself would cost every sandbox some milliseconds
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pytest_dora.runtime.sandbox.spec import Mount

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_BIND_TCP, _CONNECT_TCP = 1, 2
_FS_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK_ABI = 4
_SCOPE_ABI = 6
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sys/fs/cgroup",
    "/sys/devices/system/cpu", "/etc/alternatives", "/etc/ca-certificates", "/etc/fonts",
    "/etc/group", "/etc/hosts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/localtime", "/etc/mime.types", "/etc/nsswitch.conf", "/etc/passwd", "/etc/pki",
    "/etc/protocols", "/etc/services", "/etc/ssl", "/etc/timezone",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")


def version() -> int:
    """The Landlock ABI of this kernel, 0 when there is none."""
    found: int = ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, 0, _VERSION_FLAG)
    return max(0, found)


def rules(mounts: Sequence[Mount], interpreter_paths: Iterable[str]) -> dict[str, list[str]]:
    """What a sandbox may read and write, as plain JSON. ``mounts`` has ``host``, ``writable``."""
    return {
        "read": [*_SYSTEM, *interpreter_paths]
        + [str(mount.host) for mount in mounts if not mount.writable],
        "write": [*_DEVICES, *(str(mount.host) for mount in mounts if mount.writable)],
    }


class _RulesetAttributes(ctypes.Structure):
    _fields_ = [
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


class _NetPort(ctypes.Structure):
    _fields_ = [("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64)]


class Confinement:
    """Applied once, between fork and exec, to the process that becomes the app."""

    def __init__(self, wanted: dict[str, list[str]]) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.abi = version()
        if self.abi == 0:
            raise OSError(38, "this kernel has no Landlock")
        self.wanted = wanted
        self.rights = (1 << _FS_RIGHTS_BY_ABI.get(self.abi, 16)) - 1

    def apply(self, ports: Sequence[int] | None) -> None:
        """Confine this process and its children; only ``ports`` may be bound and connected to.

        None leaves TCP free: the process has a loopback of its own.
        """
        network = 0 if ports is None else _BIND_TCP | _CONNECT_TCP
        if network and self.abi < _NETWORK_ABI:
            raise OSError(38, f"Landlock ABI {self.abi} cannot confine TCP (kernel 6.7 or newer)")
        attributes = _RulesetAttributes(self.rights, network, 3 if self.abi >= _SCOPE_ABI else 0)
        ruleset = self._call(_CREATE, ctypes.byref(attributes), self._size(), 0)
        try:
            for path in (*self.wanted["read"], "/proc/self"):
                self._allow_path(ruleset, path, _READ)
            for path in self.wanted["write"]:
                self._allow_path(ruleset, path, self.rights)
            for port in ports or ():
                rule = _NetPort(_BIND_TCP | _CONNECT_TCP, port)
                self._call(_ADD, ruleset, _NET_PORT, ctypes.byref(rule), 0)
            self._call(_RESTRICT, ruleset, 0)
        finally:
            os.close(ruleset)

    def _size(self) -> int:
        if self.abi >= _SCOPE_ABI:
            return ctypes.sizeof(_RulesetAttributes)
        return 16 if self.abi >= _NETWORK_ABI else 8

    def _allow_path(self, ruleset: int, path: str, access: int) -> None:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return  # what is not there cannot be allowed
        try:
            if not os.path.isdir(path):
                access &= _FILE_RIGHTS
            rule = _PathBeneath(access & self.rights, descriptor)
            self._call(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(descriptor)

    def _call(self, number: int, *arguments: Any) -> int:
        result: int = self.libc.syscall(number, *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), f"landlock system call {number} refused")
        return result

"""A small system-call filter for sandboxed programs, as classic BPF.

It closes what namespaces leave open: a new user namespace (and with it the kernel's largest
attack surface), io_uring (which other filters cannot see into), the kernel keyring, bpf, and
sockets of families that reach past a network namespace (AF_VSOCK). Everything else is allowed:
real programs use the odd system call, and a filter that breaks them would fake a verdict.
"""

from __future__ import annotations

import errno
import platform
import struct
from typing import NamedTuple

_LD, _JEQ, _JSET, _RET = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH, _ARG0_LOW = 0, 4, 16
_CLONE_NEWUSER = 0x10000000
_AF_VSOCK = 40


class _Machine(NamedTuple):
    audit_arch: int
    unshare: int
    clone: int
    clone3: int
    socket: int
    refused: tuple[int, ...]


_MACHINES = {
    "x86_64": _Machine(
        0xC000003E, 272, 56, 435, 41, (425, 426, 427, 248, 249, 250, 321, 298, 323, 308)
    ),
    "aarch64": _Machine(
        0xC00000B7, 97, 220, 435, 198, (425, 426, 427, 217, 218, 219, 280, 241, 282, 268)
    ),
}
"""``refused``: io_uring (3), keyring (3), bpf, perf_event_open, userfaultfd, setns."""


def _statement(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _jump(code: int, value: int, when_true: int, when_false: int) -> bytes:
    return struct.pack("HBBI", code, when_true, when_false, value)


def program(machine: str | None = None) -> bytes:
    """The filter for a machine type; empty bytes when we do not know its system calls."""
    known = _MACHINES.get(machine or platform.machine())
    if known is None:
        return b""
    refuse = _statement(_RET, _ERRNO | errno.EPERM)
    allow = _statement(_RET, _ALLOW)
    code = [
        _statement(_LD, _ARCH),
        _jump(_JEQ, known.audit_arch, 1, 0),
        _statement(_RET, _KILL),
        _statement(_LD, _NR),
    ]
    for number in known.refused:
        code += [_jump(_JEQ, number, 0, 1), refuse]
    # glibc falls back to clone, whose flags a filter can read
    code += [_jump(_JEQ, known.clone3, 0, 1), _statement(_RET, _ERRNO | errno.ENOSYS)]
    for number in (known.unshare, known.clone):
        code += [
            _jump(_JEQ, number, 0, 4),
            _statement(_LD, _ARG0_LOW),
            _jump(_JSET, _CLONE_NEWUSER, 0, 1),
            refuse,
            allow,
        ]
    code += [
        _jump(_JEQ, known.socket, 0, 4),
        _statement(_LD, _ARG0_LOW),
        _jump(_JEQ, _AF_VSOCK, 0, 1),
        refuse,
        allow,
    ]
    code.append(allow)
    return b"".join(code)

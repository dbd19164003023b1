"""What the supervisor reads of /proc: listening sockets, memory, descendants.

Like the supervisor it is mounted into the sandbox and imports only the standard library.
"""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False  # typing itself would cost every sandbox some milliseconds
if TYPE_CHECKING:
    from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")


def listening_sockets() -> list[dict[str, Any]]:
    """Every listening TCP socket of this network namespace."""
    found: list[dict[str, Any]] = []
    for path, width in (("/proc/self/net/tcp", 8), ("/proc/self/net/tcp6", 32)):
        try:
            with open(path) as table:
                rows = table.read().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A":
                address, _, port = fields[1].partition(":")
                found.append(
                    {
                        "address": decode_address(address, width),
                        "port": int(port, 16),
                        "inode": int(fields[9]),
                        "pid": 0,
                    }
                )
    return found


def decode_address(text: str, width: int) -> str:
    raw = b"".join(bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, width, 8))
    return socket.inet_ntop(socket.AF_INET if width == 8 else socket.AF_INET6, raw)


def socket_inodes(pid: int) -> list[int]:
    found: list[int] = []
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return found
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.append(int(target[8:-1]))
    return found


def memory_of(pids: list[int]) -> int:
    """Bytes of private resident memory (shared file pages count for nobody)."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm") as statm:
                fields = statm.read().split()
        except (OSError, ProcessLookupError):
            continue
        if len(fields) > 2:
            total += max(0, int(fields[1]) - int(fields[2])) * PAGE
    return total


def stat_fields(pid: int | str) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return []


def is_zombie(pid: int) -> bool:
    fields = stat_fields(pid)
    return not fields or fields[0] == "Z"


def descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(name)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    queue = [root]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found

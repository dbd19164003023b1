"""What a sandbox is to contain, and what comes back from a command run in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Tier(StrEnum):
    """How strong the walls are, strongest first."""

    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    NONE = "none"


class SandboxUnavailable(Exception):
    """No sandbox of the wanted tier works here; the message says what to install."""


class SandboxLost(Exception):
    """The sandbox ended under us (killed from outside, or the machine ran out of memory)."""


@dataclass(frozen=True)
class Mount:
    """A host folder or file and where it is seen inside."""

    host: Path
    inside: str
    writable: bool = False


@dataclass(frozen=True)
class Bounds:
    """Limits on everything in one sandbox together. Bytes and counts."""

    memory_bytes: int = 4 * 2**30
    processes: int = 512
    file_bytes: int = 2 * 2**30
    open_files: int = 4096
    tmp_bytes: int = 2 * 2**30


@dataclass(frozen=True)
class SandboxSpec:
    """One sandbox. ``env`` is the base environment of every process in it."""

    name: str
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    """Names that resolve to the sandbox's own loopback (compose service names)."""
    bounds: Bounds = Bounds()
    ports: tuple[int, ...] = ()
    """Ports that may be bound where the sandbox has no loopback of its own."""


@dataclass(frozen=True)
class Completed:
    """How a command ended. ``exit_code`` is None when a signal or we ended it."""

    argv: tuple[str, ...]
    cwd: str
    exit_code: int | None
    signal: int | None
    seconds: float
    cpu_seconds: float
    timed_out: bool = False
    killed_for: str | None = None
    """``memory`` or ``output`` when a limit ended it."""
    output: str = ""
    """The first and last of what it printed, 64 KiB at most, cleaned of control characters."""
    log: str | None = None

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


@dataclass(frozen=True)
class Listener:
    """A TCP socket on which a process of the sandbox listens."""

    address: str
    port: int
    pid: int

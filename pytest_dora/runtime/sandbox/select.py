"""Which sandbox works on this machine, found out by trying, and what its walls withstand."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_dora.model.settings import SandboxMode
from pytest_dora.runtime.sandbox import bubblewrap
from pytest_dora.runtime.sandbox.box import Sandbox
from pytest_dora.runtime.sandbox.spec import SandboxSpec, SandboxUnavailable, Tier

_ATTACKS = r"""
import json, os, socket, subprocess, sys
home, port, mark, *hidden = sys.argv[1:]
held = {}
def attack(name, action):
    try:
        action()
    except OSError as error:
        held[name] = True
    except subprocess.CalledProcessError:
        held[name] = True
    else:
        held[name] = False
def write(path):
    with open(path, "w") as file:
        file.write("x")
attack("system_read_only", lambda: write("/usr/dora-self-test"))
def read_home():
    if not set(os.listdir(home)) & set(hidden):
        raise OSError("nothing of the caller's is seen")
attack("home_hidden", read_home)
attack("host_loopback_closed", lambda: socket.create_connection(("127.0.0.1", int(port)), 2))
attack("network_closed", lambda: socket.create_connection(("192.0.2.1", 80), 2))
attack("remount_refused", lambda: subprocess.run(
    ["mount", "-t", "tmpfs", "none", "/mnt" if os.path.isdir("/mnt") else "/tmp"],
    check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
attack("user_namespace_refused", lambda: subprocess.run(
    ["unshare", "-Ur", "true"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
def environment():
    seen = []
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    seen.append(file.read())
            except OSError:
                pass
    if any(mark.encode() in one for one in seen):
        return
    raise OSError("not seen")
attack("caller_environment_hidden", environment)
print(json.dumps(held))
"""
_REQUIRED = {
    Tier.BUBBLEWRAP: frozenset(
        {
            "system_read_only",
            "home_hidden",
            "host_loopback_closed",
            "network_closed",
            "remount_refused",
            "user_namespace_refused",
            "caller_environment_hidden",
        }
    ),
    Tier.LANDLOCK: frozenset(
        {"system_read_only", "home_hidden", "host_loopback_closed", "network_closed"}
    ),
    Tier.NONE: frozenset(),
}


@dataclass(frozen=True)
class SelfTest:
    """What was tried from inside a sandbox: True where the wall held."""

    tier: Tier
    held: dict[str, bool]
    error: str | None = None

    @property
    def passed(self) -> bool:
        return self.error is None and all(
            self.held.get(name, False) for name in _REQUIRED[self.tier]
        )


@cache
def self_test(tier: Tier) -> SelfTest:
    """Try to get out of a sandbox of this tier; once per process."""
    import json

    mark = f"DORA_SELF_TEST_{os.getpid()}"
    os.environ[mark] = "1"
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with Sandbox.open(SandboxSpec(name="self-test"), tier) as sandbox:
                done = sandbox.run(
                    [
                        str(bubblewrap.interpreter()), "-I", "-c", _ATTACKS,
                        str(Path.home()), str(port), mark, *_hidden_names(),
                    ],
                    env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
                    timeout=20,
                )  # fmt: skip
        lines = done.output.strip().splitlines()
        return SelfTest(
            tier,
            json.loads(lines[-1]) if done.ok and lines else {},
            None if done.ok else done.output[-300:],
        )
    except (SandboxUnavailable, OSError, ValueError) as error:
        return SelfTest(tier, {}, str(error))
    finally:
        os.environ.pop(mark, None)


def _hidden_names() -> list[str]:
    """What the caller's home holds, but for the folder of an interpreter that must be seen."""
    home = Path.home()
    seen = {
        mount.host.relative_to(home).parts[0]
        for mount in bubblewrap.interpreter_mounts()
        if mount.host.is_relative_to(home)
    }
    try:
        return sorted(set(os.listdir(home)) - seen)[:200]
    except OSError:
        return []


@cache
def choose_tier(mode: SandboxMode) -> Tier:
    """The tier to use. Raises SandboxUnavailable with the line that mends it; ``none`` is
    used only when it was typed."""
    if mode is SandboxMode.NONE:
        return Tier.NONE
    wanted = (
        [Tier(mode.value)] if mode is not SandboxMode.AUTO else [Tier.BUBBLEWRAP, Tier.LANDLOCK]
    )
    said: list[str] = []
    for tier in wanted:
        tried = self_test(tier)
        if tried.passed:
            return tier
        weak = ", ".join(name for name, held in sorted(tried.held.items()) if not held)
        said.append(f"{tier.value}: {tried.error or f'did not hold: {weak}'}")
    raise SandboxUnavailable(
        f"no sandbox works here ({'; '.join(said)}). Install bubblewrap "
        f"(apt-get install bubblewrap), or type --dora-sandbox none to run without one. "
        f"Python {sys.version_info.major}.{sys.version_info.minor}."
    )

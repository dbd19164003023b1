"""A running sandbox as the host sees it: commands in, outcomes and sockets out."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import weakref
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pytest_dora.runtime.output import Log
from pytest_dora.runtime.sandbox import bubblewrap, seccomp
from pytest_dora.runtime.sandbox.channel import Channel, Message
from pytest_dora.runtime.sandbox.spec import (
    Completed,
    Listener,
    SandboxLost,
    SandboxSpec,
    SandboxUnavailable,
    Tier,
)

HOME = "/home/app"
FETCH_UID = 61183
_FIRST_UID, _UIDS = 61184, 4000
_START_SECONDS = 15.0
_GRACE_SECONDS = 2.0
_open: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def app_uid(name: str) -> int | None:
    """The unprivileged uid that runs an app when we are root; None when we are not.

    One per app, so that a limit on processes counts one app's processes.
    """
    if os.geteuid() != 0:
        return None
    return _FIRST_UID + zlib.crc32(name.encode()) % _UIDS


def sys_prefixes() -> list[str]:
    """Folders of the interpreter that runs the supervisor."""
    return [str(mount.host) for mount in bubblewrap.interpreter_mounts()]


def kill_all() -> None:
    """End every sandbox of this process at once; safe from any thread and at exit."""
    for sandbox in list(_open):
        with contextlib.suppress(Exception):
            sandbox.kill()


class Process:
    """A long-running program in a sandbox."""

    def __init__(self, sandbox: Sandbox, name: str, argv: tuple[str, ...], log: Log) -> None:
        self._sandbox = sandbox
        self.name = name
        self.argv = argv
        self.log = log
        self.started = time.perf_counter()
        self._ended = threading.Event()
        self._status: int | None = None
        self.cpu_seconds = 0.0

    def poll(self) -> int | None:
        """None while it runs, else its exit status (negative: the signal that ended it)."""
        return self._status if self._ended.is_set() else None

    def wait(self, timeout: float) -> int | None:
        self._ended.wait(timeout)
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Signal the program and its process group."""
        if self.poll() is None:
            self._sandbox.signal(self.name, number)

    def end(self, status: int, cpu: float) -> None:
        """Called by the sandbox when the program has ended."""
        self._status, self.cpu_seconds = status, cpu
        self._ended.set()


class Sandbox:
    """One box and everything in it; ``close`` ends it all. Use as a context manager."""

    def __init__(self, spec: SandboxSpec, tier: Tier, uid: int | None) -> None:
        self.spec = spec
        self.tier = tier
        self.uid = uid
        self.killed_for: str | None = None
        self.own_loopback = False
        self._names = itertools.count(1)
        self._processes: dict[str, Process] = {}
        self._ready: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._folder = Path(tempfile.mkdtemp(prefix="dora-box-"))
        self._launcher: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._bridged: list[int] = []
        self._closed = False

    @classmethod
    def open(
        cls, spec: SandboxSpec, tier: Tier = Tier.BUBBLEWRAP, uid: int | None = None
    ) -> Sandbox:
        """Start a sandbox; ``uid`` defaults to the app's own when we are root.

        Raises SandboxUnavailable with what the launcher said.
        """
        if uid is None and tier is Tier.BUBBLEWRAP:
            # elsewhere, without mounts of its own, an app must reach what only the caller may
            uid = app_uid(spec.name)
        sandbox = cls(spec, tier, uid)
        try:
            sandbox._start()
        except BaseException:
            sandbox.close()
            raise
        _open.add(sandbox)
        return sandbox

    # --- running programs -------------------------------------------------------------------

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "/",
        env: Mapping[str, str] | None = None,
        log: Log | None = None,
    ) -> Process:
        """Start a program; raises OSError when it cannot be executed."""
        log = log or Log(None, 2**17)
        name = f"p{next(self._names)}"
        process = Process(self, name, tuple(argv), log)
        self._processes[name] = process
        pipe = log.open_pipe()
        try:
            self._request(
                "spawn",
                [pipe],
                name=name,
                argv=list(argv),
                cwd=cwd,
                env={**self.spec.env, **(env or {})},
                limits=self._limits(),
                ports=[*self.spec.ports, *self._bridged],
            )
        except BaseException:
            self._processes.pop(name, None)
            raise
        finally:
            os.close(pipe)
        return process

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "/",
        env: Mapping[str, str] | None = None,
        timeout: float,
        log: Log | None = None,
        sweep: bool = True,
    ) -> Completed:
        """Run a program to its end; never raises for what the program does.

        With ``sweep`` whatever it left running in the sandbox is ended as well.
        """
        log = log or Log(None, 2**17)
        self.killed_for = None
        clock = time.perf_counter()
        try:
            process = self.spawn(argv, cwd=cwd, env=env, log=log)
        except OSError as error:
            log.write(f"{error.strerror}\n".encode())
            log.close()
            return Completed(tuple(argv), cwd, 127, None, 0.0, 0.0, output=log.tail())
        timed_out = self._await(process, clock + timeout)
        if sweep:
            self.kill_processes()
        seconds = time.perf_counter() - clock
        status = process.poll()
        log.close()
        return Completed(
            argv=tuple(argv),
            cwd=cwd,
            exit_code=status if status is not None and status >= 0 and not timed_out else None,
            signal=-status if status is not None and status < 0 else None,
            seconds=seconds,
            cpu_seconds=process.cpu_seconds,
            timed_out=timed_out,
            killed_for=self.killed_for,
            output=log.excerpt(),
        )

    def _await(self, process: Process, deadline: float) -> bool:
        """Wait for the end of a program; True when we had to end it at its deadline."""
        while process.wait(min(0.1, max(0.0, deadline - time.perf_counter()))) is None:
            if process.log.flooded:
                self.killed_for = "output"
                self.kill_processes()
                process.wait(_GRACE_SECONDS)
                return False
            if time.perf_counter() >= deadline:
                process.send_signal(signal.SIGTERM)
                if process.wait(_GRACE_SECONDS) is None:
                    self.kill_processes()
                    process.wait(_GRACE_SECONDS)
                return True
        return False

    def signal(self, name: str, number: int) -> None:
        self._request("signal", name=name, signal=number)

    def kill_processes(self) -> None:
        """End every process in the sandbox; the sandbox itself stays."""
        with contextlib.suppress(SandboxLost):
            self._request("killall")

    # --- sockets ----------------------------------------------------------------------------

    def connect(self, port: int, address: str = "127.0.0.1") -> socket.socket:
        """A TCP socket connected inside the sandbox. Raises OSError as connect does."""
        return self._socket("connect", port=port, address=address)[0]

    def connect_unix(self, path: str) -> socket.socket:
        return self._socket("connect_unix", path=path)[0]

    def listen(self, port: int, address: str = "127.0.0.1") -> socket.socket:
        """A socket listening inside the sandbox, accepted on by us (port 0: any).

        Without a loopback of its own the port is always chosen by the system: ask the socket.
        """
        wanted = port if self.own_loopback else 0
        listener, reply = self._socket("listen", port=wanted, address=address)
        self._bridged.append(int(reply["port"]))
        return listener

    def listeners(self) -> tuple[Listener, ...]:
        """The TCP sockets on which the app's own processes listen."""
        found = self._request("listeners")["listeners"]
        return tuple(Listener(one["address"], one["port"], one["pid"]) for one in found)

    def status(self) -> Mapping[str, int]:
        """``pids``, ``bytes`` of memory now, ``peak_bytes``."""
        reply = self._request("status")
        return {key: reply[key] for key in ("pids", "bytes", "peak_bytes")}

    # --- beginning and end ------------------------------------------------------------------

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**21)
        errors = self._folder / "launcher.log"
        with theirs, errors.open("wb") as stderr:
            self._launcher = subprocess.Popen(
                self._command(theirs.fileno()),
                env={},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._channel = Channel(ours, self._on_event)
        with contextlib.suppress(OSError):  # a launcher that died says why below
            self._channel.start(self._config())
        try:
            ready = self._ready.get(timeout=_START_SECONDS)
        except queue.Empty:
            ready = False
        if not ready:
            said = errors.read_text(errors="replace").strip() or "no answer"
            raise SandboxUnavailable(f"{self.tier.value} sandbox did not start: {said[-500:]}")

    def _command(self, channel: int) -> list[str]:
        if self.tier is not Tier.BUBBLEWRAP:
            script = Path(__file__).with_name("supervisor.py")
            return [
                str(bubblewrap.interpreter()), "-I", "-S", "-B", str(script), str(channel)
            ]  # fmt: skip
        bwrap = bubblewrap.executable()
        if bwrap is None:
            raise SandboxUnavailable("bubblewrap is not installed: apt-get install bubblewrap")
        uid = os.geteuid() if self.uid is None else self.uid
        etc = self._folder / "etc"
        bubblewrap.write_etc(etc, uid, uid, self.spec.env.get("HOME", HOME), self.spec.hosts)
        for path in (self._folder, etc):
            path.chmod(0o755)
        return bubblewrap.command(bwrap, self.spec, etc, channel, as_root=os.geteuid() == 0)

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "own_namespace": self.tier is Tier.BUBBLEWRAP,
            "unshare_network": self.tier is Tier.LANDLOCK,
            "uid": self.uid,
            "memory_bytes": self.spec.bounds.memory_bytes,
            "seccomp": "" if self.tier is Tier.NONE else seccomp.program().hex(),
        }
        if self.tier is Tier.LANDLOCK:
            from pytest_dora.runtime.sandbox import landlock

            paths = [str(bubblewrap.interpreter().parent), *sys_prefixes()]
            config["landlock"] = landlock.rules(self.spec.mounts, paths)
        return config

    def _limits(self) -> dict[str, int]:
        bounds = self.spec.bounds
        limits = {
            "RLIMIT_FSIZE": bounds.file_bytes,
            "RLIMIT_NOFILE": bounds.open_files,
            "RLIMIT_CORE": 0,
        }
        if self.tier is Tier.BUBBLEWRAP or self.uid is not None:
            limits["RLIMIT_NPROC"] = bounds.processes  # else it would count the caller's own
        return limits

    def _on_event(self, message: Message) -> None:
        match message["event"]:
            case "ready":
                self.own_loopback = bool(message["own_loopback"])
                self._ready.put(True)
            case "exit":
                process = self._processes.pop(message["name"], None)
                if process is not None:
                    process.end(message["status"], message["cpu"])
            case "killed":
                self.killed_for = message["cause"]
            case "lost":
                self._ready.put(False)
                for process in list(self._processes.values()):
                    process.end(-signal.SIGKILL, 0.0)

    def _request(self, op: str, descriptors: Sequence[int] = (), **values: Any) -> Message:
        if self._channel is None:
            raise SandboxLost("the sandbox was never started")
        return self._channel.request(op, descriptors, **values)

    def _socket(self, op: str, **values: Any) -> tuple[socket.socket, Message]:
        if self._channel is None:
            raise SandboxLost("the sandbox was never started")
        return self._channel.request_socket(op, **values)

    def kill(self) -> None:
        """End everything without waiting for anybody."""
        if self._channel is not None:
            self._channel.close()
        running = self._launcher is not None and self._launcher.poll() is None
        if self._launcher is not None and running and self.tier is Tier.BUBBLEWRAP:
            self._launcher.kill()

    def close(self) -> None:
        """End every process, wait for the launcher, remove what was made. Idempotent."""
        if self._closed:
            return
        self._closed = True
        _open.discard(self)
        if self._channel is not None:
            with contextlib.suppress(SandboxLost, OSError):
                self._request("exit")
            self._channel.close()
        if self._launcher is not None:
            try:
                self._launcher.wait(5)
            except subprocess.TimeoutExpired:
                self._launcher.kill()
                self._launcher.wait(5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

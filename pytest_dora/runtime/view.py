"""One workspace of an app with the sandbox in which its commands run."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_dora.model.base import utc_now
from pytest_dora.model.plan import Plan
from pytest_dora.model.result import Timing
from pytest_dora.runtime import environment
from pytest_dora.runtime.egress import Ledger
from pytest_dora.runtime.engine import Engine
from pytest_dora.runtime.install import CACHE, OUT
from pytest_dora.runtime.output import Log
from pytest_dora.runtime.relay import Relay
from pytest_dora.runtime.sandbox.box import FETCH_UID, HOME, Process, Sandbox, app_uid
from pytest_dora.runtime.sandbox.spec import (
    Bounds,
    Completed,
    Mount,
    SandboxLost,
    SandboxSpec,
    Tier,
)
from pytest_dora.runtime.toolchains import Toolchain

_FORBIDDEN_WORKDIRS = re.compile(
    r"/?$|/(usr|etc|bin|sbin|lib\w*|proc|dev|sys|run|tmp|dora\S*|root)(/|$)|/home/app/?$|.*\.\."
)


@dataclass(frozen=True)
class Access:
    """What a view's sandbox is given beyond its own loopback."""

    registries: bool = False
    cache_writable: bool = False
    hosts: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


class WorkspaceView:
    """A tree of the app, mounted where its image has it, and a way to run commands there."""

    def __init__(
        self,
        engine: Engine,
        app_id: str,
        plan: Plan,
        root: Path,
        toolchains: Sequence[Toolchain],
        access: Access = Access(),
        default_log: str = "build",
    ) -> None:
        self.root = root
        self.out = root.parent / f"{root.name}-out"
        self.home = root.parent / ("home-fetch" if access.cache_writable else "home")
        self.workdir = workdir(plan, root, engine.tier)
        self.timings: list[Timing] = []
        self.ledger: Ledger | None = None
        self._engine = engine
        self._app_id = app_id
        self._plan = plan
        self._toolchains = tuple(toolchains)
        self._access = access
        self._default_log = default_log
        self._sandbox: Sandbox | None = None
        self._bridges: list[tuple[int, Relay]] = []
        self._leased: dict[int, int] = {}

    # --- running ----------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        package: str = ".",
        timeout: float,
        name: str,
        log: str | None = None,
        sweep: bool = True,
    ) -> Completed:
        """Run one command to its end, holding a CPU token; never raises for its behaviour.

        ``name`` names the timing; output goes to the log of the check named by ``log``.
        """
        sink = self.open_log(log)
        command = self.fill(argv)
        sink.write(f"\n$ {' '.join(command)}   (in {cwd})\n".encode())
        with self._engine.tokens.cpu() as grant:
            started = utc_now()
            try:
                sandbox = self.sandbox  # opened first: it decides the leased ports
                done = sandbox.run(
                    self.fill(argv),
                    cwd=self.inside(cwd),
                    env=self.environment(package, cwd, env),
                    timeout=timeout,
                    log=sink,
                    sweep=sweep,
                )
            except SandboxLost:
                sink.close()
                self.close()
                done = Completed(
                    command, cwd, None, 9, 0.0, 0.0, killed_for="sandbox", output=sink.tail()
                )
        self.timings.append(
            Timing(
                name=name,
                started_at=started,
                seconds=done.seconds,
                cpu_seconds=done.cpu_seconds,
                contended=grant.contended,
            )
        )
        return replace(done, argv=command, cwd=cwd, log=self.log_name(log))

    def spawn(
        self,
        argv: Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        package: str = ".",
        log: str | None = None,
    ) -> Process:
        """Start a program that stays. Raises OSError when it cannot be executed."""
        sink = self.open_log(log)
        command = self.fill(argv)
        sink.write(f"\n$ {' '.join(command)}   (in {cwd}, stays)\n".encode())
        sandbox = self.sandbox  # opened first: it decides the leased ports
        return sandbox.spawn(
            self.fill(argv), cwd=self.inside(cwd), env=self.environment(package, cwd, env), log=sink
        )

    def environment(self, package: str, cwd: str, env: Mapping[str, str] | None) -> dict[str, str]:
        """Later entries win: our own, the app's declarations, the services', the command's."""
        tools = [folder for tool in self._toolchains for folder in tool.bin_dirs]
        values = {
            **environment.base(),
            **environment.search_path(
                self._plan, self.workdir, package, cwd, tools, trusted=self._access.cache_writable
            ),
            **{name: value for tool in self._toolchains for name, value in tool.env},
            **self._access.env,
            **(env or {}),
        }
        if self._engine.tier is not Tier.BUBBLEWRAP:
            values["TMPDIR"] = f"{HOME}/tmp"
        return {
            **{key: self.fill([value])[0] for key, value in values.items()},
            **environment.passed_on(self._engine.settings.pass_env),
        }

    def fill(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Placeholders and, where the tree is not mounted at the image's place, its paths."""
        words = [word.replace("{workdir}", self.workdir) for word in argv]
        if self._engine.tier is not Tier.BUBBLEWRAP:
            words = [self._on_host(word) for word in words]
        if self._plan.workdir != self.workdir and self._plan.workdir.strip("/"):
            own = re.compile(
                rf"(?<![\w/.-]){re.escape(self._plan.workdir.rstrip('/'))}(/[^\s:;,'\"]*)?(?![\w.-])"
            )
            words = [own.sub(self._in_workdir, word) for word in words]
        return tuple(words)

    def _in_workdir(self, found: re.Match[str]) -> str:
        """A path of the app's where its tree is; one of the system's as it was, when an image
        mixes both (``WORKDIR /usr``)."""
        rest = found[1] or ""
        if rest and is_system(self._plan.workdir) and os.path.exists(found[0]):
            return found[0]
        return self.workdir + rest

    def _on_host(self, word: str) -> str:
        """Without mounts, our folders are where they are on the host, and ports are leased."""
        for inside, folder in ((OUT, self.out), (HOME, self.home), (CACHE, self._engine.cache)):
            word = word.replace(inside, str(folder))
        for port, leased in self._leased.items():
            word = re.sub(rf"(?<=[:=]){port}(?!\d)|^{port}$", str(leased), word)
        return word

    def inside(self, relative: str) -> str:
        return self.workdir if relative in (".", "") else f"{self.workdir}/{relative}"

    # --- the sandbox ------------------------------------------------------------------------

    @property
    def sandbox(self) -> Sandbox:
        if self._sandbox is None:
            for folder in (self.out, self.home, self.home / "tmp"):
                if folder.is_symlink():  # the app has had its home before
                    folder.unlink()
                folder.mkdir(parents=True, exist_ok=True)
                self._own(folder)
            self._sandbox = Sandbox.open(self._spec(), self._engine.tier, self.uid)
            if self._access.registries:
                listener = self._sandbox.listen(environment.PROXY_PORT)
                self._lease(environment.PROXY_PORT, listener)
                self.ledger = self._engine.egress.attach(listener)
            for port, relay in self._bridges:
                self._connect_bridge(port, relay)
        return self._sandbox

    @property
    def uid(self) -> int | None:
        own = app_uid(self._app_id) if self._engine.tier is Tier.BUBBLEWRAP else None
        return FETCH_UID if self._access.cache_writable and own is not None else own

    def bridge(self, port: int, relay: Relay) -> None:
        """Offer a host-side service on a port of the sandbox's loopback."""
        self._bridges.append((port, relay))
        if self._sandbox is not None:
            self._connect_bridge(port, relay)

    def _connect_bridge(self, port: int, relay: Relay) -> None:
        assert self._sandbox is not None
        listener = self._sandbox.listen(port)
        self._lease(port, listener)
        relay.serve(listener)

    def _lease(self, port: int, listener: socket.socket) -> None:
        if listener.getsockname()[1] != port:
            self._leased[port] = listener.getsockname()[1]

    def _own(self, folder: Path) -> None:
        if self.uid is not None:
            os.chown(folder, self.uid, self.uid, follow_symlinks=False)

    def _spec(self) -> SandboxSpec:
        limits = self._engine.settings.limits
        mounts = [
            Mount(self.root, self.workdir, writable=True),
            Mount(self.out, OUT, writable=True),
            Mount(self.home, HOME, writable=True),
        ]
        seen: set[Path] = set()
        for folder in (folder for tool in self._toolchains for folder in tool.mounts):
            if folder not in seen and not folder.is_relative_to("/usr"):
                mounts.append(Mount(folder, str(folder)))
            seen.add(folder)
        if self._access.registries:
            mounts += [Mount(path, str(path)) for path in environment.certificate_files()]
        if self._access.cache_writable:
            mounts.append(Mount(self._engine.cache, CACHE, writable=True))
        elif (self._engine.cache / "go").is_dir():
            mounts.append(Mount(self._engine.cache / "go", f"{CACHE}/go"))
        return SandboxSpec(
            name=self._app_id,
            mounts=tuple(mounts),
            env=environment.base(),
            hosts=self._access.hosts,
            bounds=Bounds(
                memory_bytes=limits.memory_bytes,
                processes=limits.processes,
                file_bytes=limits.file_bytes,
            ),
        )

    # --- evidence ---------------------------------------------------------------------------

    def toolchain_versions(self, _package: str = ".") -> dict[str, str]:
        return {tool.name: tool.version for tool in self._toolchains}

    def log_name(self, check: str | None = None) -> str:
        folder = self._engine.log_folder(self._app_id)
        path = folder / f"{check or self._default_log}.log"
        return str(path.relative_to(self._engine.run_dir))

    def open_log(self, check: str | None = None) -> Log:
        path = self._engine.run_dir / self.log_name(check)
        return Log(path, self._engine.settings.limits.log_bytes)

    def close(self) -> None:
        """End everything that runs here. The tree stays."""
        if self.ledger is not None:
            self.ledger.close()  # its socket would keep the sandbox's network alive
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None


def workdir(plan: Plan, root: Path, tier: Tier) -> str:
    """Where the app's tree is seen: the image's WORKDIR unless that would hide the system."""
    if tier is not Tier.BUBBLEWRAP:
        return str(root)
    return "/app" if is_system(plan.workdir) else re.sub("/+", "/", plan.workdir.rstrip("/"))


def is_system(folder: str) -> bool:
    """Whether a tree mounted there would hide what the sandbox needs."""
    plain = re.sub("/+", "/", folder).rstrip("/")
    return folder[:1] != "/" or _FORBIDDEN_WORKDIRS.match(plain) is not None

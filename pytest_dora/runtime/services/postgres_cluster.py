"""A throwaway PostgreSQL server in a sandbox of its own, as durable as a real one."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from pytest_dora.runtime.host import ToolMissing, run_host
from pytest_dora.runtime.sandbox.box import Process, Sandbox
from pytest_dora.runtime.sandbox.spec import Bounds, Completed, Mount, SandboxSpec, Tier
from pytest_dora.runtime.services import postgres_log
from pytest_dora.runtime.services.postgres_install import Installation

PORT = 5432
ADMIN = "postgres"
_UID, _NOBODY = 61182, 65534
"""Who runs the server when we are root, which it refuses to be: a user of the sandbox's own,
else one that the system knows, for ``initdb`` looks its name up."""
_CONNECTIONS = 300
_START_SECONDS = 60.0
_SQL_SECONDS = 60.0
_POLL_SECONDS = 0.005
_ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "HOME": "/tmp"}
_SETTINGS = {
    # fsync and synchronous_commit stay on: tests that depend on the speed of a real server
    # would otherwise pass here and nowhere else
    "max_connections": str(_CONNECTIONS),
    "shared_buffers": "64MB",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "dynamic_shared_memory_type": "mmap",  # /dev/shm is not everywhere
    **postgres_log.SETTINGS,
}
_ACCESS = f"""\
local all {ADMIN} trust
local all all reject
host all {ADMIN} 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
"""
"""The administrator is reached through the socket file alone, which no app's sandbox sees."""


class ClusterFailed(Exception):
    """The server could not be started, or a statement of ours failed; the message says why."""


class Cluster:
    """One running server. ``close`` ends it and throws its data away."""

    def __init__(self, installation: Installation, cache: Path, run_dir: Path, tier: Tier) -> None:
        self._installation = installation
        self._cache = cache
        self._tier = tier
        self._uid: int | None = None
        if os.geteuid() == 0:
            self._uid = _UID if tier is Tier.BUBBLEWRAP else _NOBODY
        run_dir.mkdir(parents=True, exist_ok=True)
        # without mounts of its own the server's user must get through to its files
        place = run_dir if tier is Tier.BUBBLEWRAP else None
        self._folder = Path(tempfile.mkdtemp(prefix="dora-pg-", dir=place))
        self._data = self._folder / "data"
        self.port = PORT if tier is Tier.BUBBLEWRAP else _free_port()
        self._sockets = "/tmp" if tier is Tier.BUBBLEWRAP else str(self._folder)
        self._sandbox: Sandbox | None = None
        self._process: Process | None = None
        try:
            self._make_data()
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def major(self) -> int:
        return self._installation.major

    @property
    def log_folder(self) -> Path:
        return self._data / "log"

    def is_alive(self, patience: float = 0.0) -> bool:
        """Whether the server runs; news of its end may take ``patience`` seconds to arrive."""
        return self._process is not None and self._process.wait(patience) is None

    def connect(self) -> socket.socket:
        """A connection to the server, as from its own loopback. Raises OSError."""
        if self._sandbox is None:
            raise ConnectionRefusedError("the database server has ended")
        return self._sandbox.connect(self.port)

    def restart(self) -> None:
        """Bring a server that ended back, with its data: it recovers as after a crash."""
        if self._sandbox is not None:
            self._sandbox.close()
        # written by a process of a namespace that is gone: its number may be another's now
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._start()

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements as administrator, each in its own transaction; what they print.

        Only ever in a database whose objects are not an app's: a trigger of an app would run
        with our rights.
        """
        return self._psql(
            ["-h", self._sockets, "-U", ADMIN, "-d", database],
            statements,
            {"PGAPPNAME": postgres_log.OURS},
        )

    def sql_as(self, user: str, password: str, database: str, *statements: str) -> str:
        """Run statements as an app's own role; rows come back as CSV."""
        where = ["-h", "127.0.0.1", "-U", user, "-d", database, "--csv"]
        return self._psql(
            where, statements, {"PGPASSWORD": password, "PGAPPNAME": postgres_log.OURS}
        )

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- inside -----------------------------------------------------------------------------

    def _psql(self, where: Sequence[str], statements: Sequence[str], env: dict[str, str]) -> str:
        if self._sandbox is None:
            raise ClusterFailed("the database server has ended")
        argv = [str(self._installation.bin_dir / "psql"), "-X", "-q", "-t", "-A"]
        argv += ["-v", "ON_ERROR_STOP=1", "-p", str(self.port), *where]
        for statement in statements:
            argv += ["-c", statement]
        # no sweep: it would end the server as well
        done = self._sandbox.run(argv, env=env, timeout=_SQL_SECONDS, sweep=False)
        if not done.ok:
            raise ClusterFailed(_said(done, "psql"))
        return done.output

    def _start(self) -> None:
        self._sandbox = self._open([self._folder])
        argv = [str(self._installation.bin_dir / "postgres"), "-D", str(self._data)]
        argv += ["-k", self._sockets, "-p", str(self.port), "-h", "127.0.0.1"]
        try:
            self._process = self._sandbox.spawn(argv, cwd=str(self._data))
        except OSError as error:
            raise ClusterFailed(f"the database server does not start: {error}") from error
        deadline = time.monotonic() + _START_SECONDS
        state = self._data / "postmaster.pid"
        while not _is_ready(state):
            status = self._process.wait(_POLL_SECONDS)
            if status is not None or time.monotonic() > deadline:
                how = f"ended with status {status}" if status is not None else "is not ready"
                self._process.log.close()
                said = self._process.log.tail(2000).strip() or self._last_log()
                raise ClusterFailed(f"the database server {how}: {said}")

    def _last_log(self) -> str:
        files = sorted(self.log_folder.glob("*.*"))
        return files[-1].read_text(errors="replace")[-2000:] if files else "it said nothing"

    def _open(self, folders: Sequence[Path]) -> Sandbox:
        mounts = [Mount(path, str(path)) for path in self._installation.mounts]
        mounts += [Mount(folder, str(folder), writable=True) for folder in folders]
        spec = SandboxSpec(
            name="dora-postgres",
            mounts=tuple(mounts),
            env=_ENV,
            bounds=Bounds(processes=4096),  # a user's, in every sandbox: one server per worker
            ports=(self.port,),
        )
        return Sandbox.open(spec, self._tier, self._uid)

    # --- the data folder --------------------------------------------------------------------

    def _make_data(self) -> None:
        self._own(self._folder)
        if self._uid == _NOBODY:
            self._initdb(self._folder)  # the cache of root is closed to the server's user
            return
        template = self._template()
        ran = run_host(
            ["cp", "-a", "--reflink=auto", str(template / "data"), str(self._data)], os.environ
        )
        if ran.status != 0:
            raise ClusterFailed(f"the database template cannot be copied: {ran.stderr.strip()}")

    def _template(self) -> Path:
        """An initialised data folder, made once per machine, version and settings."""
        made_of = repr((str(self._installation.bin_dir), sorted(_SETTINGS.items()), _ACCESS, 1))
        digest = hashlib.sha256(made_of.encode()).hexdigest()[:12]
        templates = self._cache / "postgres"
        templates.mkdir(parents=True, exist_ok=True)
        owner = os.geteuid() if self._uid is None else self._uid
        template = templates / f"{self._installation.version}-{owner}-{digest}"
        with FileLock(templates / ".lock", timeout=300):
            if not template.is_dir():
                staging = Path(tempfile.mkdtemp(prefix=".initdb-", dir=templates))
                try:
                    self._own(staging)
                    self._initdb(staging)
                    staging.rename(template)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
        return template

    def _initdb(self, folder: Path) -> None:
        argv = [str(self._installation.bin_dir / "initdb"), "-D", str(folder / "data")]
        argv += ["-U", ADMIN, "-A", "trust", "-E", "UTF8", "--no-sync", "--wal-segsize=4"]
        with self._open([folder]) as sandbox:
            done = sandbox.run([*argv, "--locale=C.UTF-8"], timeout=120)
            if not done.ok:  # not every system has that locale
                done = sandbox.run([*argv, "--locale=C"], timeout=120)
        if not done.ok:
            raise ClusterFailed(_said(done, "initdb"))
        with (folder / "data/postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
        (folder / "data/pg_hba.conf").write_text(_ACCESS, encoding="utf-8")

    def _own(self, folder: Path) -> None:
        if self._uid is not None:
            os.chown(folder, self._uid, self._uid)


def _is_ready(state: Path) -> bool:
    """Line 8 of ``postmaster.pid`` says when clients are welcome."""
    try:
        lines = state.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _said(done: Completed, name: str) -> str:
    how = "took too long" if done.timed_out else f"exit {done.exit_code}"
    return f"{name}: {how}: {done.output.strip()[-1500:]}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def missing(error: Exception) -> ToolMissing:
    """A server that does not start is a lack of this machine, never an app's fault."""
    return ToolMissing("postgresql", str(error), "give a server with --dora-postgres URL")

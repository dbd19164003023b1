"""PostgreSQL for apps: a fresh database and an unprivileged role for each app and stage."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pytest_dora.runtime.sandbox.spec import SandboxLost, SandboxUnavailable, Tier
from pytest_dora.runtime.services.handover import Credentials
from pytest_dora.runtime.services.postgres_cluster import Cluster, ClusterFailed, missing
from pytest_dora.runtime.services.postgres_external import ExternalServer
from pytest_dora.runtime.services.postgres_install import find_installation, find_postgres
from pytest_dora.runtime.services.postgres_log import MARKS, Statement, StatementLog
from pytest_dora.runtime.services.postgres_sql import create_statements, drop_statements

__all__ = ["Database", "PostgresServer", "Statement", "find_postgres"]

_MARK_SECONDS = 5.0
_MARK_POLL_SECONDS = 0.005
_OWNERS_SCHEMA = 15
"""Before, the administrator owned the schema that apps like to drop and make anew."""
_QUIET = "SET log_statement = 'none'"


@dataclass(frozen=True)
class Database(Credentials):
    """A database of one owner (an app's stage) with the only role that may log in to it."""

    owner: str = ""
    connect: Callable[[], socket.socket] = field(repr=False, kw_only=True)
    """A new connection to the server, before any byte is exchanged. Raises OSError."""


class _Backend(Protocol):
    def create(self, name: str, password: str) -> None: ...
    def drop(self, name: str) -> None: ...
    def connect(self) -> socket.socket: ...
    def close(self) -> None: ...


class PostgresServer:
    """The one server of a worker process, started when the first database is asked for.

    With ``url`` databases are made on that server instead, which needs psycopg.
    """

    def __init__(
        self, cache: Path, run_dir: Path, url: str | None = None, tier: Tier = Tier.BUBBLEWRAP
    ) -> None:
        self._cache = cache
        self._run_dir = run_dir
        self._url = url
        self._tier = tier
        self._lock = threading.RLock()
        self._backend: _Backend | None = None
        self._dropping = ThreadPoolExecutor(1, thread_name_prefix="dora-pg-drop")

    def database(self, owner: str) -> Database:
        """A new, empty database. Raises ToolMissing when no server can be had here."""
        name = _name(owner)
        password = secrets.token_hex(16)
        with self._lock:
            try:
                backend = self._create(name, password)
            except (ClusterFailed, SandboxUnavailable, SandboxLost) as error:
                raise missing(error) from error
        sslmode = "disable" if self._url is None else "prefer"
        return Database(name, name, password, sslmode=sslmode, owner=owner, connect=backend.connect)

    def drop(self, database: Database) -> None:
        """Throw a database and its role away; what is still connected is cut off.

        That takes a checkpoint, so it goes on when this returns; ``settle`` waits for it.
        """
        with self._lock:
            self._dropping.submit(self._drop, self._backend, database.name)

    def settle(self, timeout: float = 60.0) -> None:
        """Wait until everything that was dropped is gone. Raises TimeoutError."""
        self._dropping.submit(lambda: None).result(timeout)

    @staticmethod
    def _drop(backend: _Backend | None, name: str) -> None:
        if backend is not None:
            with contextlib.suppress(ClusterFailed, SandboxLost):
                backend.drop(name)

    def statements(
        self, database: Database, since: datetime | None = None
    ) -> tuple[Statement, ...] | None:
        """What the server saw from this database's clients, oldest first.

        None when nobody looks: on a server that is not ours.
        """
        with self._lock:
            if not isinstance(self._backend, _Local):
                return None
            seen = self._backend.statements(database.name)
        return tuple(one for one in seen if since is None or one.at >= since)

    def query(self, database: Database, sql: str) -> str:
        """Run SQL as the database's own role, never with more rights; rows come as CSV.

        Raises ClusterFailed with what the server said.
        """
        with self._lock:
            if not isinstance(self._backend, _Local):
                raise ClusterFailed("not on a server that is not ours")
            return self._backend.cluster.sql_as(
                database.user, database.password, database.name, sql
            )

    def close(self) -> None:
        """End our server with all its data; on a named one wait until our databases are gone."""
        with self._lock:
            ours = isinstance(self._backend, _Local)
            if not ours:
                self._dropping.shutdown()
            if self._backend is not None:
                self._backend.close()
                self._backend = None
            self._dropping.shutdown(cancel_futures=ours)

    def _create(self, name: str, password: str) -> _Backend:
        if self._backend is None:
            self._backend = ExternalServer(self._url) if self._url else self._start()
        try:
            self._backend.create(name, password)
        except (ClusterFailed, SandboxLost):
            # killed for its memory, or by another app's doing: the data is still there
            if not isinstance(self._backend, _Local) or self._backend.cluster.is_alive(0.5):
                raise
            self._backend.cluster.restart()
            self._backend.create(name, password)
        return self._backend

    def _start(self) -> _Local:
        return _Local(Cluster(find_installation(), self._cache, self._run_dir, self._tier))


def _name(owner: str) -> str:
    """A name for database and role that says whose they are and that nobody can guess."""
    word = re.sub(r"[^a-z0-9]+", "_", owner.lower()).strip("_")[:40]
    return f"{word or 'app'}_{secrets.token_hex(4)}"


class _Local:
    """Our own server in its sandbox."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._log = StatementLog(cluster.log_folder)
        self._log.watch(MARKS)
        for database in ("postgres", "template1"):
            cluster.sql(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")

    def create(self, name: str, password: str) -> None:
        self._log.watch(name)
        statements = [_QUIET, *create_statements(name, password)]
        if self.cluster.major < _OWNERS_SCHEMA:
            statements += [f'\\connect "{name}"', f'ALTER SCHEMA public OWNER TO "{name}"']
        self.cluster.sql(*statements)

    def drop(self, name: str) -> None:
        self._log.forget(name)
        self.cluster.sql(_QUIET, *drop_statements(name))

    def connect(self) -> socket.socket:
        try:
            return self.cluster.connect()
        except SandboxLost as error:
            raise ConnectionRefusedError(str(error)) from error

    def statements(self, name: str) -> tuple[Statement, ...]:
        """Waits for a mark of our own to come out of the log, and with it all before it."""
        mark = secrets.token_hex(8)
        with contextlib.suppress(ClusterFailed, SandboxLost):
            self.cluster.sql(f"SELECT '{mark}'")
            deadline = time.monotonic() + _MARK_SECONDS
            while time.monotonic() < deadline:
                if any(mark in one.text for one in self._log.of(MARKS)[-20:]):
                    break
                time.sleep(_MARK_POLL_SECONDS)
        return self._log.of(name)

    def close(self) -> None:
        self._log.close()
        self.cluster.close()

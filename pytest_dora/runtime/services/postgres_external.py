"""A PostgreSQL server that the evaluator named with ``--dora-postgres``."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pytest_dora.runtime.host import ToolMissing
from pytest_dora.runtime.services.postgres_install import WAY_OUT
from pytest_dora.runtime.services.postgres_sql import create_statements, drop_statements

if TYPE_CHECKING:
    import psycopg

_CONNECT_SECONDS = 10


class ExternalServer:
    """Makes databases with the rights that the address gives; it is never shown to an app.

    Raises ToolMissing when psycopg is absent or the server does not do what is asked.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            parts = urlsplit(url)
            self._host = unquote(parts.hostname or "127.0.0.1")
            self._port = parts.port or 5432
        except ValueError:
            raise _unusable("its address cannot be read") from None

    def create(self, name: str, password: str) -> None:
        role, database, revoke = create_statements(name, password)
        with self._session() as session:
            _execute(session, role)
            superuser = session.execute("SELECT current_setting('is_superuser')").fetchone()
            if superuser != ("on",):  # who gives a database away must belong to its new owner
                _execute(session, f'GRANT "{name}" TO CURRENT_USER')
            _execute(session, database)
            _execute(session, revoke)

    def drop(self, name: str) -> None:
        with contextlib.suppress(ToolMissing), self._session() as session:
            for statement in drop_statements(name):
                _execute(session, statement)

    def connect(self) -> socket.socket:
        """A connection from the host. Raises OSError."""
        return socket.create_connection((self._host, self._port), timeout=_CONNECT_SECONDS)

    def close(self) -> None:
        """Nothing of it is ours but the databases, which are dropped one by one."""

    @contextlib.contextmanager
    def _session(self) -> Iterator[psycopg.Connection]:
        try:
            import psycopg
        except ImportError:
            raise ToolMissing(
                "psycopg", "--dora-postgres needs psycopg, which is not installed", WAY_OUT
            ) from None
        try:
            with psycopg.connect(
                self._url, autocommit=True, connect_timeout=_CONNECT_SECONDS
            ) as session:
                yield session
        except psycopg.Error as error:
            raise _unusable(str(error).strip()) from error


def _execute(session: psycopg.Connection, statement: str) -> None:
    session.execute(statement.encode())  # text has to be a literal for the type checker


def _unusable(why: str) -> ToolMissing:
    return ToolMissing(
        "postgresql",
        f"the server of --dora-postgres cannot be used: {why[:500]}",
        "give an address whose user may create roles and databases",
    )

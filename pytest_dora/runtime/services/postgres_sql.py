"""The statements that make and unmake an app's database.

``name`` is made of letters, digits and underscores, ``password`` of hexadecimal digits: they are
ours, so nothing has to be escaped.
"""

from __future__ import annotations

_ROLE_CONNECTIONS = 120


def create_statements(name: str, password: str) -> tuple[str, str, str]:
    """A role without any privilege, and a database that only it may log in to."""
    role = f'ROLE "{name}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION'
    return (
        f"CREATE {role} CONNECTION LIMIT {_ROLE_CONNECTIONS} PASSWORD '{password}'",
        f'CREATE DATABASE "{name}" OWNER "{name}" TEMPLATE template0',
        f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC',
    )


def drop_statements(name: str) -> tuple[str, str]:
    """Cut every session off, then remove database and role."""
    return (
        f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
        f'DROP ROLE IF EXISTS "{name}"',
    )

"""Handing a database over to an app under the names that the app reads."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from urllib.parse import quote

from pytest_dora.model.plan import ServiceNeed

_SCHEME = re.compile(r"(?:postgres(?:ql)?|postgis)(?:\+[a-z0-9_]{1,20})?")
_URL_WORDS = frozenset(
    ("URL", "URI", "DSN", "CONNSTR", "CONNSTRING", "CONNECTIONSTRING", "DATABASEURL")
)
_PART_OF_WORD = {
    "host": ("HOST", "HOSTNAME", "SERVER", "ADDR", "ADDRESS", "HOSTADDR"),
    "port": ("PORT",),
    "user": ("USER", "USERNAME", "LOGIN", "ROLE"),
    "password": ("PASSWORD", "PASS", "PASSWD", "PWD", "PW"),
    "name": ("NAME", "DB", "DATABASE", "DBNAME"),
    "sslmode": ("SSLMODE",),
    "ssl": ("SSL", "TLS"),
}
_WORD = {word: part for part, words in _PART_OF_WORD.items() for word in words}
_DRIVERS = {
    "DB_CONNECTION": "pgsql",
    "DB_ENGINE": "django.db.backends.postgresql",
    "DB_DIALECT": "postgres",
    "DB_CLIENT": "pg",
    "DATABASE_ENGINE": "django.db.backends.postgresql",
    "DATABASE_DIALECT": "postgres",
    "DATABASE_CLIENT": "postgres",
}
"""Variables that choose the kind of database, in the words of the framework that reads them."""
_COMMON = (
    "DATABASE_URL",
    *("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE"),
    *("POSTGRES_HOST", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"),
)
"""Set whether seen or not: drivers and libraries read them without the app's code saying so."""


@dataclass(frozen=True)
class Credentials:
    """How a client logs in to its own database."""

    name: str
    user: str
    password: str
    sslmode: str = "disable"


def environment(
    need: ServiceNeed, database: Credentials, host: str = "127.0.0.1", port: int = 5432
) -> dict[str, str]:
    """Values for every variable of ``need``, and for the common ones.

    A name that says neither an address nor a part of one is left out: it is no business of ours.
    """
    parts = {
        "host": host,
        "port": str(port),
        "user": database.user,
        "password": database.password,
        "name": database.name,
        "sslmode": database.sslmode,
        "ssl": "false" if database.sslmode in ("disable", "allow", "prefer") else "true",
    }
    values: dict[str, str] = {}
    for variable in (*_COMMON, *need.env_names):
        part = part_of(variable)
        if part == "url":
            values[variable] = url(database, _scheme(need, variable), host, port)
        elif part is not None:
            values[variable] = parts[part]
        elif variable.upper() in _DRIVERS:
            values[variable] = _DRIVERS[variable.upper()]
    return values


def part_of(variable: str) -> str | None:
    """What a variable's name asks for: ``url``, ``host``, ``port``, ``user``, ``password``,
    ``name``, ``sslmode``, ``ssl``; None when it asks for nothing that we know.
    """
    words = re.findall(r"[A-Z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", variable).upper())
    if not words or variable.upper() in _DRIVERS:
        return None
    if _URL_WORDS & set(words) or _is_connection_string(words):
        return "url"
    last = words[-1]
    if last in _WORD:
        return _WORD[last]
    stuck = re.fullmatch(r"(?:PG|DB|POSTGRES|DATABASE)([A-Z]+)", last)  # PGHOST, DBNAME, DBUSER
    return _WORD.get(stuck[1]) if stuck is not None else None


def _is_connection_string(words: list[str]) -> bool:
    pairs = set(itertools.pairwise(words))
    return bool(pairs & {("CONNECTION", "STRING"), ("CONN", "STR"), ("CONN", "STRING")})


def url(database: Credentials, scheme: str, host: str, port: int) -> str:
    """An address with the credentials in it, every part quoted."""
    user, password = quote(database.user, safe=""), quote(database.password, safe="")
    address = f"{scheme}://{user}:{password}@{host}:{port}/{quote(database.name, safe='')}"
    # a driver of SQLAlchemy takes other words than libpq for the same thing, so it gets none
    plain = "+" not in scheme and database.sslmode not in ("disable", "prefer")
    return f"{address}?sslmode={database.sslmode}" if plain else address


def _scheme(need: ServiceNeed, variable: str) -> str:
    seen = need.url_scheme if _SCHEME.fullmatch(need.url_scheme or "") else None
    if "ASYNC" in variable.upper().split("_") and "+" not in (seen or ""):
        return "postgresql+asyncpg"
    # "postgres" is refused by SQLAlchemy; "postgresql" is read by every client
    return seen or "postgresql"

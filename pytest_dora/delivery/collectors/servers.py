"""What an evaluator says of a monitoring server: its address, its token, its options."""

from __future__ import annotations

import os
import re
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ValidationError

from pytest_dora.delivery.collectors.base import CollectError, Cursor, Scope
from pytest_dora.model.base import Model

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhdw])")

Told = TypeVar("Told", bound=Model)


def _seconds(value: object) -> object:
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        if not found:
            raise ValueError("write a duration as 30s, 5m, 1h, 7d or 4w")
        return int(found[1]) * _UNITS[found[2]]
    return value


Duration = Annotated[int, BeforeValidator(_seconds)]
"""Whole seconds; written as a number, or as ``30s``, ``5m``, ``1h``, ``7d``, ``4w``."""


def options_of(kind: type[Told], scope: Scope) -> Told:
    """The options of a scope. Raises CollectError that names each wrong one."""
    return _told(kind, scope.options, f"{scope.name}: wrong options")


def place_of(kind: type[Told], cursor: Cursor, scope: Scope) -> Told:
    """Where a cursor says to go on. Raises CollectError for one that another reader made."""
    return _told(kind, cursor, f"{scope.name}: the cursor is not of this collector")


def _told(kind: type[Told], value: Cursor, what: str) -> Told:
    try:
        return kind.model_validate(dict(value))
    except ValidationError as error:
        wrong = (
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        )
        raise CollectError(f"{what}: {'; '.join(wrong)}") from error


def server_of(scope: Scope) -> str:
    """The base address of a server, as it stands in keys. Raises CollectError for what is none."""
    try:
        parts = urlsplit(scope.name)
    except ValueError as error:
        raise CollectError(f"{scope.name}: {error}") from error
    if parts.username or parts.password or parts.query:
        raise CollectError(
            f"{parts.hostname}: an address holds no credentials; tokens come from the environment"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CollectError(f"{scope.name}: name the server's base address, as http://host:9090")
    return scope.name.rstrip("/")


def bearer(variable: str) -> dict[str, str]:
    """The header with the token of an environment variable, if that is set."""
    token = os.environ.get(variable, "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}

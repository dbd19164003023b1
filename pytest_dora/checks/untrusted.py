"""JSON that hostile code wrote: parsed without growing far beyond its own size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_MAX_CONTAINERS = 1_000_000


def load_json(data: bytes) -> Any:
    """A JSON value; None when it is none, or nested or crowded beyond what tools write.

    An empty list takes two bytes of text and fifty of memory, so containers are counted first.
    """
    if data.count(b"[") + data.count(b"{") > _MAX_CONTAINERS:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def table(value: object) -> Mapping[str, Any]:
    """``value`` when it is a table, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: object, limit: int = 20_000) -> str:
    """``value`` when it is text, cut to ``limit``, else nothing."""
    return value[:limit] if isinstance(value, str) else ""

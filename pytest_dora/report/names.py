"""Names of files for app ids, which may be anything."""

from __future__ import annotations

import hashlib
import urllib.parse

_LONGEST = 180
"""Bytes; file systems allow 255, and suffixes follow."""


def file_name(app_id: str) -> str:
    """An id as the name of a file: percent-encoded, and cut with a hash where it is too long.

    The same name as that of the app's folder of logs.
    """
    name = urllib.parse.quote(app_id, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) <= _LONGEST:
        return name
    return f"{name[:150]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"

"""What apps print and name, as text that a terminal and a CI log may show."""

from __future__ import annotations

import re
import unicodedata
import urllib.parse

from pytest_dora.runtime.output import clean

PREFIX = "  | "
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co"})
_COMMAND = re.compile(r"##(?=\w*\[)")
"""``##[error]`` and ``##teamcity[`` are commands wherever in a line they stand."""


def node_name(text: str) -> str:
    """An id as a part of a pytest node id: letters, digits and ``_.-/~+@=`` stay, all else is
    percent-encoded, so that a shell and ``::`` can do no harm."""
    return "".join(
        char if char.isalnum() or char in "_.-/~+@=" else urllib.parse.quote(char, safe="")
        for char in text
    )


def one_line(text: str, limit: int = 300) -> str:
    """Text of an app on one line, without control characters or commands of CI systems."""
    joined = " ".join(_clean(text).split())
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"


def quoted(text: str, lines: int = 20) -> str:
    """Text of an app, each line behind a prefix, at most ``lines`` of them."""
    kept = [line.rstrip() for line in _clean(text).splitlines() if line.strip()]
    if len(kept) > lines:
        kept = [*kept[:lines], f"… {len(kept) - lines} more lines"]
    return "\n".join(f"{PREFIX}{line[:500]}" for line in kept)


def _clean(text: str) -> str:
    shown = "".join(
        char if char == "\n" or unicodedata.category(char) not in _INVISIBLE else " "
        for char in clean(text)
    )
    return _COMMAND.sub("# #", shown)

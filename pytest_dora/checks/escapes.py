"""How often a program steps around its type checker: ``any``, ignores, casts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ast_grep_py import SgRoot

from pytest_dora.checks.tree import Source

TYPED_SUFFIXES = frozenset({".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte", ".py", ".go", ".php"})
_TS_COMMENT = re.compile(r"(?://|/\*)\s*@ts-(ignore|nocheck|expect-error)\b")
_TYPE_IGNORE = re.compile(r"#\s*(?:type|pyright|mypy):\s*ignore")
_PYTHON_ANY = re.compile(r"(?:->|:)\s*(?:typing\.)?Any\b|\[(?:[\w, .]*,\s*)?(?:typing\.)?Any\b")
_MAX_ANY_FILES = 600


@dataclass(frozen=True)
class Escapes:
    """Counts over the sources; ``per_kloc`` is per thousand lines that are not blank."""

    lines: int
    any_types: int
    ts_ignores: int
    type_ignores: int

    def as_numbers(self) -> Mapping[str, int | float | None]:
        total = self.any_types + self.ts_ignores + self.type_ignores
        return {
            "lines": self.lines,
            "any_types": self.any_types,
            "ts_ignores": self.ts_ignores,
            "type_ignores": self.type_ignores,
            "escapes_per_kloc": round(1000 * total / self.lines, 2) if self.lines else None,
        }


def count_escapes(files: Iterable[Source]) -> Escapes:
    """Read what the sources say; texts in strings and comments are no types."""
    lines = any_types = ts_ignores = type_ignores = parsed = 0
    for source in files:
        lines += sum(1 for line in source.text.splitlines() if line.strip())
        suffix = os.path.splitext(source.path)[1]
        if suffix == ".py":
            type_ignores += len(_TYPE_IGNORE.findall(source.text))
            any_types += len(_PYTHON_ANY.findall(source.text))
            continue
        ts_ignores += len(_TS_COMMENT.findall(source.text))
        typed = suffix in (".ts", ".tsx", ".mts", ".cts") and parsed < _MAX_ANY_FILES
        if typed and re.search(r"\bany\b", source.text):
            parsed += 1
            any_types += _any_nodes(source.text, "tsx" if suffix == ".tsx" else "typescript")
    return Escapes(lines, any_types, ts_ignores, type_ignores)


def _any_nodes(text: str, language: str) -> int:
    return len(SgRoot(text, language).root().find_all(kind="predefined_type", regex="^any$"))

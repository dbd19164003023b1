"""Which strict settings a type configuration turns on, read without running anything."""

from __future__ import annotations

import configparser
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_dora.checks.tree import join, read_text
from pytest_dora.model.plan import TypecheckTool

_TS_FLAGS = (
    "strict",
    "noImplicitAny",
    "strictNullChecks",
    "noUncheckedIndexedAccess",
    "noUnusedLocals",
    "skipLibCheck",
)
_MYPY_FLAGS = ("strict", "disallow_untyped_defs", "check_untyped_defs", "ignore_missing_imports")
_PYRIGHT_FLAGS = ("typeCheckingMode", "strict")
_COMMENTS = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])')
_MAX_EXTENDS = 6

Flag = bool | str | None


def strict_flags(root: Path, config: str, tool: TypecheckTool) -> Mapping[str, Flag]:
    """The settings named in a configuration; null for those that are not set."""
    if tool is TypecheckTool.TSC:
        return _pick(_tsconfig(root, config), _TS_FLAGS)
    if tool is TypecheckTool.PYRIGHT:
        return _pick(_section(root, config, "pyright"), _PYRIGHT_FLAGS)
    if tool is TypecheckTool.MYPY:
        return _pick(_section(root, config, "mypy"), _MYPY_FLAGS)
    return {}


def _tsconfig(root: Path, config: str) -> Mapping[str, Any]:
    """Compiler options with those of the configurations extended by relative paths."""
    options: dict[str, Any] = {}
    for _ in range(_MAX_EXTENDS):
        table = _jsonc(read_text(root, config))
        own = table.get("compilerOptions")
        options = {**own, **options} if isinstance(own, dict) else options
        base = table.get("extends")
        base = base[-1] if isinstance(base, list) and base else base
        if not isinstance(base, str) or not base.startswith("."):
            break
        config = join(os.path.dirname(config), base)
        config = config if config.endswith(".json") else f"{config}.json"
    return options


def _section(root: Path, config: str, tool: str) -> Mapping[str, Any]:
    text = read_text(root, config)
    if config.endswith(".json"):
        return _jsonc(text)
    if config.endswith(".toml"):
        try:
            found = tomllib.loads(text).get("tool", {})
        except (ValueError, RecursionError):
            return {}
        section = found.get(tool) if isinstance(found, dict) else None
        return section if isinstance(section, dict) else {}
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return dict(parser[tool]) if tool in parser else {}


def _jsonc(text: str) -> Mapping[str, Any]:
    """A JSON object with comments and trailing commas; empty when it is none."""

    def keep_strings(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith('"') else ""

    plain = _TRAILING_COMMA.sub(keep_strings, _COMMENTS.sub(keep_strings, text))
    try:
        value = json.loads(plain)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _pick(table: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Flag]:
    picked: dict[str, Flag] = {}
    for name in names:
        value = table.get(name)
        picked[name] = value if isinstance(value, bool) else str(value)[:50] if value else None
    return picked

"""JSON, JSONC, TOML, YAML, INI and dotenv text of untrusted origin, as plain tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import tomli
import yaml

MAX_MERGED_PAIRS = 5_000
MAX_MERGE_LIST = 50
MAX_NESTING = 200

_JSON_COMMENT = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*"|//[^\n]*|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z)', re.DOTALL
)
_JSON_TRAILING_COMMA = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|,(?=\s*[}\]])', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_INI_SECTION = re.compile(r"\[([^\]\n]{1,200})\]\s*(?:[;#].*)?")
_DOTENV = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]{0,99})\s*=(.*)")


class BrokenFile(ValueError):
    """Text that cannot be parsed: ``line`` counts from 1, ``message`` is one line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = " ".join(message.split())[:200]


def parse_json(text: str) -> Mapping[str, Any]:
    """A JSON object; comments and trailing commas are accepted. Raises ``BrokenFile``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        plain = _JSON_COMMENT.sub(_blank_comment, text)
        plain = _JSON_TRAILING_COMMA.sub(_drop_comma, plain)
        try:
            value = json.loads(plain)
        except json.JSONDecodeError as problem:
            raise BrokenFile(problem.lineno, problem.msg) from None
        except (ValueError, RecursionError):
            raise BrokenFile(1, "nested too deeply or a number too large") from None
    if "\\u" in text:
        value = _without_surrogates(value)
    return _as_table(value)


def parse_toml(text: str) -> Mapping[str, Any]:
    """A TOML document. Raises ``BrokenFile``."""
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as problem:
        message = str(problem)
        line = getattr(problem, "lineno", None) or _line_in(message)
        raise BrokenFile(int(line), message) from None
    except (ValueError, RecursionError):
        raise BrokenFile(1, "nested too deeply or a number too large") from None


def parse_yaml(text: str) -> Mapping[str, Any]:
    """The first document of a YAML text. Raises ``BrokenFile``."""
    if _nesting(text) > MAX_NESTING:
        raise BrokenFile(1, "nested too deeply")
    try:
        loader = _Loader(text)
        try:
            value = loader.get_data() if loader.check_data() else {}
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise BrokenFile(line, problem.problem or "not YAML") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as problem:
        raise BrokenFile(1, str(problem) or "not YAML") from None
    return _as_table(value if value is not None else {})


def parse_ini(text: str) -> Mapping[str, Mapping[str, str]]:
    """Sections of an INI text, the way supervisord and setup.cfg write it; never raises."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    name = ""
    for raw in text.split("\n"):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        section = _INI_SECTION.fullmatch(line)
        if section:
            current = sections.setdefault(section[1].strip(), {})
            name = ""
        elif raw[0] in " \t" and name:
            current[name] = f"{current[name]}\n{line}".strip()
        else:
            key, separator, value = line.partition("=")
            if not separator:
                key, separator, value = line.partition(":")
            name = key.strip().lower()
            current[name] = re.sub(r"\s[;#].*", "", value).strip()
    return sections


def parse_dotenv(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, name and value of each assignment of a ``.env`` file."""
    for number, line in enumerate(text.split("\n"), start=1):
        match = _DOTENV.fullmatch(line.strip())
        if match:
            yield number, match[1], _dotenv_value(match[2].strip())


def table(value: object) -> Mapping[str, Any]:
    """``value`` when it is a table, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """``value`` when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def string(value: object) -> str | None:
    """``value`` when it is non-empty text without NUL, else None."""
    return value if isinstance(value, str) and value and "\0" not in value else None


def scalar(value: object) -> str | None:
    """Text for a scalar as YAML writes it; None for anything with parts or nothing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return None if "\0" in value else value
    return str(value) if isinstance(value, int | float) else None


def strings(value: object) -> tuple[str, ...]:
    """The texts of a list; a single text counts as a list of one."""
    if isinstance(value, str):
        value = [value]
    return tuple(text for entry in items(value) if (text := string(entry)) is not None)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader in which merge keys cannot multiply a small file into gigabytes."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, value in node.value:
            merge = key.tag == "tag:yaml.org,2002:merge"
            if merge and isinstance(value, yaml.SequenceNode) and len(value.value) > MAX_MERGE_LIST:
                raise yaml.YAMLError("too many merge keys")
        super().flatten_mapping(node)
        if len(node.value) > MAX_MERGED_PAIRS:
            raise yaml.YAMLError("too many merge keys")


def _as_table(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BrokenFile(1, "holds no table at its top")
    return value


def _nesting(text: str) -> int:
    """An upper bound of the nesting: flow brackets that are open, and the deepest indentation."""
    depth = deepest = 0
    for char in re.findall(r"[\[\]{}]", text):
        depth = depth + 1 if char in "[{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    dashes = max((len(run) // 2 for run in re.findall(r"(?m)^[ \-?:\t]+", text)), default=0)
    return max(deepest, dashes)


def _blank_comment(match: re.Match[str]) -> str:
    found = match[0]
    return found if found.startswith('"') else "\n" * found.count("\n")


def _drop_comma(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else ""


def _without_surrogates(value: Any) -> Any:
    """Lone surrogates, which JSON can write, are no text and would break every encoder."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(entry) for entry in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(val) for key, val in value.items()}
    return value


def _line_in(message: str) -> int:
    match = re.search(r"line (\d{1,9})", message)
    return int(match[1]) if match else 1


def _dotenv_value(raw: str) -> str:
    if raw[:1] in ("'", '"'):
        end = raw.find(raw[0], 1)
        if end > 0:
            return raw[1:end]
    return re.sub(r"(^|\s)#.*", "", raw).strip()

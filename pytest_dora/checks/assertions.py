"""How many test functions assert anything, read off their syntax trees."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ast_grep_py import SgNode, SgRoot

from pytest_dora.checks.tree import read_text

_MAX_FILES = 200
_MAX_TESTS = 5000
_SHOWN = 20

_ASSERTS = re.compile(
    r"\b(assert\w*|expect\w*|should\w*|verify\w*|raises|warns|fail\w*|Error|Fatal\w*|toThrow|throws"
    r"|rejects|t\.(is|not|true|false|deepEqual|equal|ok|plan|throws))\b"
    r"|\.(to|be|have)\.\w|\w\.((strict|deep|not)*[eE]qual|ok|deepStrictEqual|match|rejects|throws)\(|(self|t|s|require|assert)\.[A-Z]\w*\(",
)
_TRIVIAL = re.compile(
    r"\bassert True\b|assertTrue\(True\)|expect\((true|1)\)\.(toBe(Truthy)?|toEqual)\((true|1)?\)"
    r"|assert(\.ok)?\(true\)|assertEquals?\(1, 1\)"
)
_JS_TEST = re.compile(r"(it|test)(\.(only|concurrent|each|for|failing|sequential))*\b")
_LANGUAGES = {
    ".py": "python", ".go": "go", ".php": "php", ".js": "javascript", ".cjs": "javascript",
    ".mjs": "javascript", ".jsx": "tsx", ".tsx": "tsx", ".ts": "typescript", ".mts": "typescript",
    ".cts": "typescript",
}  # fmt: skip


@dataclass(frozen=True)
class Assertions:
    """Test functions found, and where those stand that assert nothing of the program."""

    functions: int
    without: int
    locations: tuple[str, ...]

    @property
    def share_without(self) -> float | None:
        return round(self.without / self.functions, 4) if self.functions else None


def measure_assertions(root: Path, files: tuple[str, ...]) -> Assertions:
    """Look through test files; what a helper of theirs asserts is not seen."""
    functions = without = 0
    locations: list[str] = []
    for path in files[:_MAX_FILES]:
        language = _LANGUAGES.get(os.path.splitext(path)[1])
        text = read_text(root, path) if language else ""
        if not language or not text:
            continue
        for node in _FINDERS.get(language, _javascript)(SgRoot(text, language).root()):
            functions += 1
            if functions > _MAX_TESTS:
                return Assertions(functions, without, tuple(locations))
            if not _asserts(node.text()):
                without += 1
                if len(locations) < _SHOWN:
                    locations.append(f"{path}:{node.range().start.line + 1}")
    return Assertions(functions, without, tuple(locations))


def _asserts(text: str) -> bool:
    return _ASSERTS.search(_TRIVIAL.sub("", text)) is not None


def _python(root: SgNode) -> Iterator[SgNode]:
    for node in root.find_all(kind="function_definition"):
        name = node.field("name")
        if name is not None and name.text().startswith("test"):
            yield node


def _go(root: SgNode) -> Iterator[SgNode]:
    for node in root.find_all(kind="function_declaration"):
        name = node.field("name")
        if name is not None and re.match(r"(Test|Fuzz)(_|[A-Z]|$)", name.text()):
            yield node


def _php(root: SgNode) -> Iterator[SgNode]:
    for node in root.find_all(kind="method_declaration"):
        name = node.field("name")
        if name is not None and name.text().startswith("test"):
            yield node


def _javascript(root: SgNode) -> Iterator[SgNode]:
    for node in root.find_all(kind="call_expression"):
        function = node.field("function")
        if function is None:
            continue
        called = function.text()[:80]
        inner = node.field("arguments")
        has_body = inner is not None and ("=>" in inner.text() or "function" in inner.text())
        if _JS_TEST.match(called) and has_body and not called.startswith(("it.skip", "test.skip")):
            yield node


_FINDERS: dict[str, Callable[[SgNode], Iterator[SgNode]]] = {
    "python": _python,
    "go": _go,
    "php": _php,
}

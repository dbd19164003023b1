"""Which stable words the code gives as reasons, read from its syntax.

A reason is what is assigned to a name, keyword or key ``reason``, what is handed to a parameter
or field of that name, and what a function called ``…reason…`` returns. Constants of the module
are looked up; ``f"killed_{cause}"`` counts as ``killed_*``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.meta.project import PACKAGE, modules

_WORD = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*_?\*?")
_OTHER_SUBJECTS = ("cli.py", "discovery", "runtime/sandbox", "runtime/javascript.py")
"""Places that speak of other reasons: of fleets, of the kernel, of package managers."""
_ONLY_RESULTS = "plugin"
"""Here a reason is also what pytest skips with; only those of results are ours."""


_elsewhere: dict[str, ast.expr] = {}
"""Constants of every module, for those that are used by the name of their module as well."""


def used_reasons() -> set[str]:
    """Every reason that a result, a stage or a report of this project can have."""
    sources = [_Source.read(path) for path in modules() if not _is_under(path, *_OTHER_SUBJECTS)]
    for source in sources:
        _elsewhere.update(source.constants)
    places = dict(place for source in sources for place in _reason_places(source.tree))
    found = {
        word
        for source in sources
        for value in _values(source, places)
        for word in source.words(value)
    }
    return {word for word in found if _WORD.fullmatch(word)}


def _is_under(path: Path, *places: str) -> bool:
    return path.relative_to(PACKAGE).as_posix().startswith(places)


@dataclass(frozen=True)
class _Source:
    """A module with its constants."""

    tree: ast.Module
    only_results: bool
    constants: Mapping[str, ast.expr] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> _Source:
        tree = ast.parse(path.read_text())
        constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        return cls(tree, _is_under(path, _ONLY_RESULTS), constants)

    def words(self, value: ast.expr) -> Iterator[str]:
        """The texts that an expression can become; its conditions are none of them."""
        match value:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts
                )
            case ast.IfExp():
                yield from (*self.words(value.body), *self.words(value.orelse))
            case ast.BoolOp():
                yield from (word for part in value.values for word in self.words(part))
            case ast.Name(id=name) if name in self.constants:
                yield from self.words(self.constants[name])
            case ast.Name(id=name) | ast.Attribute(attr=name) if (
                name.isupper() and name in _elsewhere
            ):
                yield from self.words(_elsewhere[name])
            case ast.Subscript(value=ast.Name(id=name)) if name in self.constants:
                table = self.constants[name]
                for one in table.values if isinstance(table, ast.Dict) else ():
                    yield from self.words(one)


def _reason_places(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of functions and classes with a positional ``reason``, and where it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.AnnAssign) and _is_reason(inner.target):
                    fields = [one for one in node.body if isinstance(one, ast.AnnAssign)]
                    yield node.name, fields.index(inner)
                elif isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                    yield from ((node.name, at - 1) for at in _position(inner))
        elif isinstance(node, ast.FunctionDef):
            yield from ((node.name, at) for at in _position(node))


def _position(function: ast.FunctionDef) -> Iterator[int]:
    yield from (at for at, one in enumerate(function.args.args) if one.arg == "reason")


def _values(source: _Source, places: Mapping[str, int]) -> Iterator[ast.expr]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.id if isinstance(function, ast.Name) else ""
            name = function.attr if isinstance(function, ast.Attribute) else name
            if source.only_results and name != "CheckResult":
                continue
            yield from (one.value for one in node.keywords if one.arg == "reason")
            if len(node.args) > places.get(name, len(node.args)):
                yield node.args[places[name]]
        elif source.only_results:
            continue
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "reason":
                    yield value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _assigned(target, node.value)
        elif isinstance(node, ast.FunctionDef) and "reason" in node.name:
            yield from (
                one.value for one in ast.walk(node) if isinstance(one, ast.Return) and one.value
            )


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[ast.expr]:
    if _is_reason(target):
        yield value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from _assigned(one, its)


def _is_reason(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "reason"

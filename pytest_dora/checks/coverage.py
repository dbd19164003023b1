"""Line coverage read from the machine formats of coverage.py, lcov, istanbul and Go."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_dora.checks.tree import is_test_file, own_path
from pytest_dora.checks.untrusted import load_json, table

_MAX_FILES = 20_000
_MAX_LINES = 10_000_000
_GO_BLOCK = re.compile(r"(.{1,1000}):(\d{1,9}\.\d{1,9},\d{1,9}\.\d{1,9}) (\d{1,9}) (\d{1,19})")


@dataclass(frozen=True)
class Coverage:
    """Covered and coverable lines (statements, for Go) of each file of the program."""

    files: Mapping[str, tuple[int, int]]

    @property
    def lines(self) -> int:
        return sum(total for _, total in self.files.values())

    @property
    def covered(self) -> int:
        return sum(covered for covered, _ in self.files.values())

    @property
    def percent(self) -> float | None:
        """Per cent of lines that ran, or None when nothing could be covered."""
        return round(100 * self.covered / self.lines, 2) if self.lines else None

    def of_the_program(self, workdir: str, cwd: str) -> Coverage:
        """Only the app's own files, by paths relative to its root, tests left out."""
        kept: dict[str, tuple[int, int]] = {}
        for name, numbers in self.files.items():
            path = own_path(name, workdir, cwd)
            if path is None or is_test_file(path) or "node_modules/" in path:
                continue
            if path.split("/")[0] not in (".venv", "venv"):
                kept[path] = numbers
        return Coverage(kept)


def union(parts: Iterable[Coverage]) -> Coverage:
    """Several suites together; for a file that several cover, the one that covers most."""
    together: dict[str, tuple[int, int]] = {}
    for part in parts:
        for name, numbers in part.files.items():
            if name not in together or numbers > together[name]:
                together[name] = numbers
    return Coverage(together)


def parse_coverage_py(data: bytes) -> Coverage | None:
    """The JSON report of coverage.py; None when it is none."""
    report = table(load_json(data))
    files: dict[str, tuple[int, int]] = {}
    for name, entry in table(report.get("files")).items():
        summary = table(table(entry).get("summary"))
        _keep(files, name, summary.get("covered_lines"), summary.get("num_statements"))
    return Coverage(files) if files else None


def parse_istanbul_summary(data: bytes) -> Coverage | None:
    """``coverage-summary.json`` of istanbul, c8, jest and vitest; None when it is none."""
    files: dict[str, tuple[int, int]] = {}
    for name, entry in table(load_json(data)).items():
        if name != "total":
            lines = table(table(entry).get("lines"))
            _keep(files, name, lines.get("covered"), lines.get("total"))
    return Coverage(files) if files else None


def parse_lcov(data: bytes) -> Coverage | None:
    """An lcov tracefile (bun, node); None when it names no file."""
    files: dict[str, tuple[int, int]] = {}
    name, hits, found = "", {}, {}  # type: str, dict[str, bool], dict[str, int | None]
    for raw in data.decode("utf-8", "replace").splitlines():
        kind, _, value = raw.partition(":")
        if kind == "SF":
            name, hits, found = value, {}, {}
        elif kind == "DA":
            line, _, count = value.partition(",")
            hits[line] = hits.get(line, False) or count.split(",")[0] not in ("0", "")
        elif kind in ("LF", "LH"):
            found[kind] = _number(value)
        elif raw == "end_of_record" and name:
            covered, total = sum(hits.values()), len(hits)
            _keep(files, name, covered if hits else found.get("LH"), total or found.get("LF"))
            name = ""
    return Coverage(files) if files else None


def parse_go_profile(data: bytes, module: str = "") -> Coverage | None:
    """A Go cover profile, in statements; ``module`` is cut off the front of its names.

    A block may stand there once for each package that was tested: it ran if any ran it.
    """
    blocks: dict[tuple[str, str], tuple[int, bool]] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        match = _GO_BLOCK.fullmatch(line)
        if match:
            key = (match[1].removeprefix(f"{module}/"), match[2])
            ran = int(match[4]) > 0 or blocks.get(key, (0, False))[1]
            blocks[key] = (int(match[3]), ran)
    totals: dict[str, tuple[int, int]] = {}
    for (name, _), (statements, ran) in blocks.items():
        covered, total = totals.get(name, (0, 0))
        totals[name] = (covered + statements * ran, total + statements)
    files: dict[str, tuple[int, int]] = {}
    for name, (covered, total) in totals.items():
        _keep(files, name, covered, total)
    return Coverage(files) if files else None


def _keep(files: dict[str, tuple[int, int]], name: object, covered: object, total: object) -> None:
    """Add a file if its numbers can be true."""
    if not isinstance(name, str) or not name or len(files) >= _MAX_FILES:
        return
    done, all_lines = _number(covered), _number(total)
    if done is not None and all_lines is not None and 0 <= done <= all_lines <= _MAX_LINES:
        files[name[:1000]] = (done, all_lines)


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else None
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 12 else None
    return value if isinstance(value, int) else None

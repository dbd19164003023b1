"""What every test runner answers: how it is called with machine reports, and what they say."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_dora.checks.coverage import Coverage
from pytest_dora.checks.outbox import Outbox
from pytest_dora.checks.tree import BUILD_FOLDERS, is_test_file, join, source_paths, up_from
from pytest_dora.model.plan import TestSuite

REPORT_BYTES = 32 * 2**20
MAX_FAILURES = 50


@dataclass(frozen=True)
class Failure:
    """One test that failed, or a file that could not be loaded."""

    name: str
    message: str
    location: str | None = None


@dataclass(frozen=True)
class Counts:
    """What a runner's report says. ``broken`` counts test files that could not be loaded; of
    ``failures`` theirs come first, for no luck changes them."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    broken: int = 0
    failures: tuple[Failure, ...] = ()

    @property
    def executed(self) -> int:
        return self.passed + self.failed

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.skipped


class Tally:
    """Counts while a report is read; keeps the first failures only."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = self.broken = 0
        self._unloaded: list[Failure] = []
        self._failures: list[Failure] = []

    @property
    def failures(self) -> list[Failure]:
        return [*self._unloaded, *self._failures][:MAX_FAILURES]

    def fail(self, name: str, message: str, location: str | None = None) -> None:
        self.failed += 1
        self._note(self._failures, name, message, location)

    def break_(self, name: str, message: str) -> None:
        self.broken += 1
        self._note(self._unloaded, name, message, None)

    @staticmethod
    def _note(kept: list[Failure], name: str, message: str, location: str | None) -> None:
        if len(kept) < MAX_FAILURES:
            kept.append(Failure(one_line(name, 200), one_line(message), location))

    def counts(self) -> Counts:
        return Counts(self.passed, self.failed, self.skipped, self.broken, tuple(self.failures))


@dataclass(frozen=True)
class Bench:
    """One suite with everything a runner may look at to instrument it."""

    suite: TestSuite
    root: Path
    """The workspace on the host; to be read through ``checks.tree`` only."""
    workdir: str
    """The workspace as commands see it."""
    box: Outbox
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the toolchains: ``{"node": "20.20.2"}``."""
    coverage: bool = True
    """False when the suite is to run as a developer would run it, reports apart."""


@dataclass(frozen=True)
class Instrumented:
    """A command that leaves its reports in the outbox.

    ``counts`` and ``covered`` read them afterwards; both answer None when there is nothing to
    read, and never raise for what is in the files. ``output`` is the command's printed tail.
    """

    argv: tuple[str, ...]
    counts: Callable[[str], Counts | None]
    covered: Callable[[], Coverage | None] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)
    machine_readable: bool = True
    """False when counts are only recognised in printed text."""
    coverage_missing: str | None = None
    """Why there will be no coverage, known beforehand."""


Instrument = Callable[[Bench], Instrumented]


def one_line(text: str, limit: int = 300) -> str:
    """The first line of ``text`` that says something, shortened."""
    for line in text.splitlines():
        if line.strip():
            return line.strip()[:limit]
    return ""


def read_report(bench: Bench, name: str, parse: Callable[[bytes], Counts | None]) -> Counts | None:
    """A report parsed; None when it is absent, too large or no such report."""
    data = bench.box.read(name, REPORT_BYTES)
    return parse(data) if data is not None else None


def read_coverage(
    bench: Bench, name: str, parse: Callable[[bytes], Coverage | None]
) -> Coverage | None:
    """A coverage report parsed and narrowed to the app's program; None when there is none."""
    data = bench.box.read(name, REPORT_BYTES)
    found = parse(data) if data is not None else None
    if found is None:
        return None
    own = found.of_the_program(bench.workdir, bench.suite.cwd)
    return own if own.files else None


def extend(argv: Sequence[str], *flags: str) -> tuple[str, ...]:
    """A command with flags for its last part, also through a package manager's script.

    ``npm test`` and ``npm run x`` hand on what follows ``--``; the other managers hand on all.
    """
    words = tuple(argv)
    if words[:1] == ("npm",) and words[1:2] in (("test",), ("t",), ("run",), ("run-script",)):
        return (*words, *flags) if "--" in words else (*words, "--", *flags)
    if words[:1] in (("sh",), ("bash",)) and len(words) == 3 and words[1] in ("-c", "-lc"):
        return (*words[:2], f"{words[2]} {shlex.join(flags)}")
    return (*words, *flags)


def stale_build_tests(bench: Bench) -> bool:
    """Whether compiled tests lie in a build folder, where a runner would count them again."""
    suffixes = frozenset({".js", ".cjs", ".mjs"})
    for folder in BUILD_FOLDERS:
        inside = join(bench.suite.cwd, folder)
        if (bench.root / inside).is_dir():
            for path in source_paths(bench.root, inside, suffixes):
                if is_test_file(path):
                    return True
    return False


def named_files(bench: Bench) -> tuple[str, ...]:
    """The suite's test files relative to its folder; empty when they may have been cut."""
    files = bench.suite.files
    prefix = "" if bench.suite.cwd == "." else f"{bench.suite.cwd}/"
    if len(files) >= 200 or not all(name.startswith(prefix) for name in files):
        return ()
    own = (name[len(prefix) :] for name in files)
    return tuple(name for name in own if name.split("/")[0] not in BUILD_FOLDERS)


def mentioned(bench: Bench, names: Sequence[str], *needles: str) -> bool:
    """Whether a configuration file of the suite's folder or of those above holds a text."""
    from pytest_dora.checks.tree import read_text

    for folder in up_from(bench.suite.cwd):
        for name in names:
            text = read_text(bench.root, join(folder, name))
            if any(needle in text for needle in needles):
                return True
    return False

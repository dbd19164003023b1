"""Node's own test runner, by what each version of it can report."""

from __future__ import annotations

import re
from dataclasses import replace

from pytest_dora.checks.coverage import parse_lcov
from pytest_dora.checks.runners.base import (
    Bench,
    Counts,
    Failure,
    Instrumented,
    extend,
    read_coverage,
    read_report,
)
from pytest_dora.checks.runners.javascript import local
from pytest_dora.checks.runners.junit import parse_junit
from pytest_dora.checks.tree import own_path

_JUNIT_SINCE = (18, 17)
_LCOV_SINCE = (20, 11)
_SCRIPT = re.compile(r"\.[cm]?[jt]sx?$")
_TAP_TOTAL = re.compile(r"^# (tests|pass|fail|skipped|todo|cancelled) (\d{1,9})$", re.MULTILINE)
_TAP_FAILED = re.compile(r"^ *not ok \d+ - (.{1,200})$", re.MULTILINE)


def node(bench: Bench) -> Instrumented:
    """``node --test`` with JUnit and lcov reporters (18.17 and later), or with TAP before that."""
    version = version_of(bench.versions.get("node", ""))
    if version and version < _JUNIT_SINCE:
        return _tap(bench)
    junit = ["--test-reporter=junit", f"--test-reporter-destination={bench.box.path('junit.xml')}"]
    flags = ["--test-reporter=spec", "--test-reporter-destination=stdout", *junit]
    covers = not version or version >= _LCOV_SINCE
    if bench.coverage and covers:
        flags += [
            "--experimental-test-coverage",
            "--test-reporter=lcov",
            f"--test-reporter-destination={bench.box.path('lcov.info')}",
        ]
    return Instrumented(
        argv=_with_flags(bench, flags),
        env={"CI": "true", "FORCE_COLOR": "0"},
        counts=lambda _: _counts(bench),
        covered=lambda: read_coverage(bench, "lcov.info", parse_lcov),
        coverage_missing=None if covers else "this Node writes no coverage report",
    )


def _with_flags(bench: Bench, flags: list[str]) -> tuple[str, ...]:
    """Node's flags stand before the files, directly after ``--test``."""
    words = list(local(bench.suite.argv))
    if "--test" in words:
        at = words.index("--test") + 1
        return (*words[:at], *flags, *words[at:])
    return extend(words, *flags)


def _counts(bench: Bench) -> Counts | None:
    """The report without the entries that stand for whole files.

    Node reports a file without any test as one test that passed, and a file that cannot be
    loaded as one that failed.
    """
    data = bench.box.read("junit.xml", 32 * 2**20)
    counts = read_report(bench, "junit.xml", parse_junit)
    if counts is None or data is None:
        return counts
    broken = [one for one in counts.failures if _is_file(bench, one.name)]
    silent = sum(
        _is_file(bench, name.decode("utf-8", "replace"))
        for name in re.findall(rb'<testcase name="([^"]{1,1000})"[^>]*/>', data)
    )
    others = tuple(
        Failure(one.name, "the file could not be run", None) if one in broken else one
        for one in sorted(counts.failures, key=lambda one: one not in broken)
    )
    return replace(
        counts,
        passed=max(0, counts.passed - silent),
        failed=max(0, counts.failed - len(broken)),
        broken=counts.broken + len(broken),
        failures=others,
    )


def _is_file(bench: Bench, name: str) -> bool:
    path = own_path(name, bench.workdir, bench.suite.cwd) if _SCRIPT.search(name) else None
    return path is not None and (bench.root / path).is_file()


def _tap(bench: Bench) -> Instrumented:
    return Instrumented(
        argv=local(bench.suite.argv),
        env={"CI": "true"},
        counts=parse_tap,
        coverage_missing="this Node writes no coverage report",
    )


def parse_tap(output: str) -> Counts | None:
    """The closing totals of TAP output; None when there are none."""
    said = {kind: int(number) for kind, number in _TAP_TOTAL.findall(output)}
    if "tests" not in said or "pass" not in said:
        return None
    names = [name for name in _TAP_FAILED.findall(output) if "# TODO" not in name]
    return Counts(
        passed=said["pass"],
        failed=said.get("fail", 0) + said.get("cancelled", 0),
        skipped=said.get("skipped", 0) + said.get("todo", 0),
        failures=tuple(Failure(name, "") for name in names[:50]),
    )


def version_of(text: str) -> tuple[int, int] | None:
    """Major and minor of a version's text."""
    match = re.match(r"v?(\d{1,4})\.(\d{1,4})", text)
    return (int(match[1]), int(match[2])) if match else None

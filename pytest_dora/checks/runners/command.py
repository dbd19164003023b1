"""A test command of no known runner: its exit status, and totals recognised in its text."""

from __future__ import annotations

import re

from pytest_dora.checks.runners.base import Bench, Counts, Instrumented
from pytest_dora.checks.runners.node import parse_tap

_NUMBER = r"(\d{1,7})"
_PATTERNS = (
    ("passed", re.compile(rf"\b{_NUMBER} (?:passed|passing|pass)\b", re.IGNORECASE)),
    ("failed", re.compile(rf"\b{_NUMBER} (?:failed|failing|failures?)\b", re.IGNORECASE)),
    ("skipped", re.compile(rf"\b{_NUMBER} (?:skipped|pending|todo)\b", re.IGNORECASE)),
)
_TEST_LINE = re.compile(
    r"^\s*Tests:?\s.*$|^.*\b(?:passing|failing|pending)\b.*$|^=+ .* =+$", re.MULTILINE
)
_PLAYWRIGHT = re.compile(r"^ {2}\d+ (?:passed|failed|skipped|flaky)\b.*$", re.MULTILINE)
_UNITTEST = re.compile(r"^Ran (\d{1,7}) tests? in [\d.]+s$", re.MULTILINE)
_UNITTEST_END = re.compile(r"^(OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)


def command(bench: Bench) -> Instrumented:
    """The suite as it stands; coverage is unknown."""
    return Instrumented(
        argv=bench.suite.argv,
        env={"CI": "true", "FORCE_COLOR": "0"},
        counts=parse_text,
        machine_readable=False,
        coverage_missing="the test command is of no known runner",
    )


def parse_text(output: str) -> Counts | None:
    """Totals as vitest, jest, mocha, pytest, playwright, TAP and unittest print them.

    None when the text holds none of them. Anything can print such a line, so this is only
    ever used beside an exit status.
    """
    tap = parse_tap(output)
    if tap is not None:
        return tap
    ran = _UNITTEST.findall(output)
    if ran:
        return _unittest(output, int(ran[-1]))
    found: dict[str, int] = {}
    lines = _PLAYWRIGHT.findall(output) or _TEST_LINE.findall(output)
    for line in lines:
        for kind, pattern in _PATTERNS:
            numbers = pattern.findall(line)
            if numbers:
                found[kind] = int(numbers[-1])
    if not found:
        return None
    return Counts(found.get("passed", 0), found.get("failed", 0), found.get("skipped", 0))


def _unittest(output: str, ran: int) -> Counts:
    ended = _UNITTEST_END.findall(output)
    details = dict(re.findall(r"(\w+)=(\d{1,7})", ended[-1][1])) if ended else {}
    failed = int(details.get("failures", 0)) + int(details.get("errors", 0))
    skipped = int(details.get("skipped", 0))
    return Counts(passed=max(0, ran - failed - skipped), failed=failed, skipped=skipped)

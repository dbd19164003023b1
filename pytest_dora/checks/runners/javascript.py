"""bun, vitest, jest and mocha: flags for a report and for coverage, never a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_dora.checks.coverage import parse_istanbul_summary, parse_lcov
from pytest_dora.checks.runners.base import (
    Bench,
    Counts,
    Instrumented,
    Tally,
    extend,
    mentioned,
    named_files,
    one_line,
    read_coverage,
    read_report,
    stale_build_tests,
)
from pytest_dora.checks.runners.junit import parse_junit
from pytest_dora.checks.tree import installed
from pytest_dora.checks.untrusted import load_json, text

_ENV = {"CI": "true", "FORCE_COLOR": "0"}
_SUMMARY = "coverage/coverage-summary.json"
_BUN_TOTALS = re.compile(r"^ *(\d{1,9}) (pass|fail|skip|todo|error)s?$", re.MULTILINE)
_BUN_UNHANDLED = re.compile(
    r"(?:^(?P<file>\S{1,300}\.[cm]?[jt]sx?):\n\n)?^# Unhandled error between tests\n-+\n"
    r"(?P<body>.{0,4000}?)\n-{5,}$",
    re.MULTILINE | re.DOTALL,
)
_BUN_ERROR = re.compile(r"^(?:\w*Error|error): .*$", re.MULTILINE)


def bun(bench: Bench) -> Instrumented:
    """``bun test`` with a JUnit report and lcov."""
    words = list(local(bench.suite.argv))
    flags = ["--reporter=junit", f"--reporter-outfile={bench.box.path('junit.xml')}"]
    if bench.coverage:
        folder = bench.box.path("coverage")
        flags += ["--coverage", "--coverage-reporter=lcov", f"--coverage-dir={folder}"]
    if words[:2] == ["bun", "test"] and stale_build_tests(bench):
        flags += [f"./{name}" for name in named_files(bench)]
    return Instrumented(
        argv=extend(words, *flags),
        env=_ENV,
        counts=partial(_bun_counts, bench),
        covered=lambda: read_coverage(bench, "coverage/lcov.info", parse_lcov),
    )


def _bun_counts(bench: Bench, output: str) -> Counts | None:
    """The report, and from the text the files that could not be loaded, which it leaves out."""
    return with_unhandled(read_report(bench, "junit.xml", parse_junit), output)


def with_unhandled(counts: Counts | None, output: str) -> Counts | None:
    """Counts with the errors outside of any test that bun prints and does not report."""
    said = {kind: int(number) for number, kind in _BUN_TOTALS.findall(output[-2000:])}
    if not said.get("error"):
        return counts
    tally = Tally()
    for part in _BUN_UNHANDLED.finditer(output):
        error = _BUN_ERROR.search(part["body"])
        tally.break_(part["file"] or "a test file", error[0] if error else part["body"])
    base = counts or Counts()
    return replace(
        base,
        broken=max(1, min(said["error"], 10_000)),
        failures=(*tally.failures, *base.failures),
    )


def vitest(bench: Bench) -> Instrumented:
    """``vitest run`` with its JSON report, and coverage where a provider is installed."""
    flags = [
        "--run",
        "--passWithNoTests=false",
        "--reporter=default",
        "--reporter=json",
        f"--outputFile.json={bench.box.path('report.json')}",
    ]
    provider = _vitest_provider(bench)
    if provider and bench.coverage:
        flags += [
            "--coverage.enabled=true",
            f"--coverage.provider={provider}",
            "--coverage.reporter=json-summary",
            f"--coverage.reportsDirectory={bench.box.path('coverage')}",
            "--coverage.reportOnFailure=true",
        ]
    if stale_build_tests(bench):
        flags += ["--exclude=**/dist/**", "--exclude=**/build/**"]
    missing = None if provider else "no @vitest/coverage-* provider is installed"
    words = without(local(bench.suite.argv), "--run", "--passWithNoTests", "--coverage")
    return _with_json(bench, extend(words, *flags), missing)


def without(words: Sequence[str], *options: str) -> list[str]:
    """A command without switches that we set ourselves; vitest refuses to be told twice."""
    return [
        word
        for word in words
        if not any(word == option or word.startswith(f"{option}=") for option in options)
    ]


def _vitest_provider(bench: Bench) -> str | None:
    for provider in ("v8", "istanbul"):
        if installed(bench.root, bench.suite.cwd, f"@vitest/coverage-{provider}"):
            return provider
    return None


def jest(bench: Bench) -> Instrumented:
    """``jest`` with its JSON report; thresholds count only where the app asks for coverage."""
    words = local(bench.suite.argv)
    flags = ["--json", f"--outputFile={bench.box.path('report.json')}", "--ci", "--watchAll=false"]
    if bench.coverage:
        flags += [
            "--coverage",
            "--coverageReporters=json-summary",
            f"--coverageDirectory={bench.box.path('coverage')}",
        ]
        if not _asks_for_coverage(bench):
            flags.append("--coverageThreshold={}")
    names = named_files(bench)
    if names and stale_build_tests(bench):
        flags += ["--runTestsByPath", *names]
    return _with_json(bench, extend(words, *flags), None)


def _asks_for_coverage(bench: Bench) -> bool:
    configurations = [
        "package.json",
        *(f"jest.config.{end}" for end in ("js", "ts", "cjs", "mjs", "json")),
    ]
    own = any(word.startswith(("--coverage", "--collectCoverage")) for word in bench.suite.argv)
    return own or mentioned(bench, configurations, "collectCoverage", "jest --coverage")


def _with_json(bench: Bench, argv: tuple[str, ...], missing: str | None) -> Instrumented:
    return Instrumented(
        argv=argv,
        env=_ENV,
        counts=lambda _: read_report(bench, "report.json", parse_jest_json),
        covered=lambda: read_coverage(bench, _SUMMARY, parse_istanbul_summary),
        coverage_missing=missing,
    )


def mocha(bench: Bench) -> Instrumented:
    """``mocha`` with its JSON report, run under c8 or nyc where one is installed."""
    output = bench.box.path("report.json")
    words = extend(
        local(bench.suite.argv), "--reporter", "json", "--reporter-option", f"output={output}"
    )
    meter = next(
        (one for one in ("c8", "nyc") if installed(bench.root, bench.suite.cwd, one)), None
    )
    if meter and bench.coverage and meter not in words:
        folder = bench.box.path("coverage")
        to = "--reports-dir" if meter == "c8" else "--report-dir"
        words = (meter, "--reporter=json-summary", f"{to}={folder}", *words)
    return Instrumented(
        argv=words,
        env=_ENV,
        counts=lambda _: read_report(bench, "report.json", parse_mocha_json),
        covered=lambda: read_coverage(bench, _SUMMARY, parse_istanbul_summary),
        coverage_missing=None if meter else "neither c8 nor nyc is installed",
    )


def local(argv: Sequence[str]) -> tuple[str, ...]:
    """The command without ``npx`` and its likes, which would download what is not installed."""
    words = list(argv)
    if words[:1] in (["npx"], ["pnpx"]):
        while len(words) > 1 and words[1] in ("--no-install", "--no", "--yes", "-y"):
            del words[1]
        return tuple(words[1:]) if len(words) > 1 and not words[1].startswith("-") else tuple(argv)
    if words[:1] == ["bunx"] and len(words) > 1 and not words[1].startswith("-"):
        return tuple(words[1:])
    if len(words) > 2 and words[0] in ("pnpm", "yarn", "npm") and words[1] == "exec":
        rest = words[3:] if words[2] == "--" else words[2:]
        return tuple(rest) if rest and not rest[0].startswith("-") else tuple(argv)
    return tuple(argv)


def parse_jest_json(data: bytes) -> Counts | None:
    """The JSON report of jest and vitest; only single results are believed, never the totals."""
    report = load_json(data)
    files = report.get("testResults") if isinstance(report, dict) else None
    if not isinstance(files, list):
        return None
    tally = Tally()
    for file in files:
        if isinstance(file, dict):
            _jest_file(file, tally)
    return tally.counts()


def _jest_file(file: Mapping[str, Any], tally: Tally) -> None:
    name = text(file.get("name"))
    results = file.get("assertionResults")
    results = results if isinstance(results, list) else []
    for one in results:
        if not isinstance(one, dict):
            continue
        status = one.get("status")
        if status == "passed":
            tally.passed += 1
        elif status == "failed":
            messages = one.get("failureMessages")
            first = messages[0] if isinstance(messages, list) and messages else ""
            tally.fail(
                text(one.get("fullName")) or text(one.get("title")), text(first), name or None
            )
        else:
            tally.skipped += 1
    if file.get("status") == "failed" and not any(
        isinstance(one, dict) and one.get("status") == "failed" for one in results
    ):
        tally.break_(name, _beyond_heading(text(file.get("message"))))


def _beyond_heading(message: str) -> str:
    lines = [line for line in message.splitlines() if "Test suite failed to run" not in line]
    return one_line("\n".join(lines)) or "the file could not be run"


def parse_mocha_json(data: bytes) -> Counts | None:
    """The JSON report of mocha; a failing hook is a failure that is no test."""
    report = load_json(data)
    if not isinstance(report, dict) or not isinstance(report.get("tests"), list):
        return None
    tally = Tally()
    tally.passed, tally.skipped = _length(report.get("passes")), _length(report.get("pending"))
    failures = report.get("failures")
    for one in failures if isinstance(failures, list) else []:
        if isinstance(one, dict):
            error = one.get("err")
            message = text(error.get("message")) if isinstance(error, dict) else ""
            tally.fail(text(one.get("fullTitle")), message, text(one.get("file")) or None)
    return tally.counts()


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0

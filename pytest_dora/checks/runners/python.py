"""pytest, unittest and Django's test command, run through a small program in the sandbox."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pytest_dora.checks.coverage import parse_coverage_py
from pytest_dora.checks.runners.base import (
    Bench,
    Counts,
    Instrumented,
    Tally,
    mentioned,
    named_files,
    read_coverage,
    read_report,
)
from pytest_dora.checks.runners.junit import parse_junit
from pytest_dora.checks.untrusted import load_json, text

_PYTEST_FILES = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_INTERPRETER = re.compile(r"(.*/)?(python|pypy)\d?(\.\d+)?t?$")
_COVERAGE_CODE = frozenset({".py", ".so"})
_MAX_COUNT = 1_000_000


def pytest(bench: Bench) -> Instrumented:
    """Run pytest with a JUnit report.

    Where the app itself asks pytest-cov for coverage, its numbers are taken as JSON; else they
    are measured around the run.
    """
    python, kind, name, arguments = invocation(bench.suite.argv)
    own_meter = any(word.startswith("--cov") for word in arguments) or mentioned(
        bench, _PYTEST_FILES, "--cov"
    )
    flags = [f"--junitxml={bench.box.path('junit.xml')}", "-o", "junit_family=xunit2"]
    if own_meter and bench.coverage and "--no-cov" not in arguments:
        flags.append(f"--cov-report=json:{bench.box.path('coverage.json')}")
    if (
        not own_meter
        and bench.coverage
        and mentioned(bench, _PYTEST_FILES, "-n ", "--numprocesses")
    ):
        flags.append("-n0")  # what other processes run is not seen by coverage
    place_guest(bench, coverage=not own_meter)
    return Instrumented(
        argv=(*_guest(bench, python), kind, name, *arguments, *flags, *_unusual_names(bench)),
        counts=lambda _: read_report(bench, "junit.xml", parse_junit),
        covered=lambda: read_coverage(bench, "coverage.json", parse_coverage_py),
    )


def unittest(bench: Bench) -> Instrumented:
    """``python -m unittest``, a script that calls ``unittest.main()``, or ``manage.py test``."""
    python, kind, name, arguments = invocation(bench.suite.argv)
    place_guest(bench, coverage=True, report="unittest.json")
    return Instrumented(
        argv=(*_guest(bench, python), kind, name, *arguments),
        counts=lambda _: read_report(bench, "unittest.json", parse_recorded),
        covered=lambda: read_coverage(bench, "coverage.json", parse_coverage_py),
    )


def _unusual_names(bench: Bench) -> tuple[str, ...]:
    """Test files by name where none has one that pytest looks for (``tests.py``)."""
    names = named_files(bench)
    usual = any(re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", name) for name in names)
    configured = mentioned(bench, _PYTEST_FILES, "python_files")
    return () if usual or configured else names


def invocation(argv: Sequence[str]) -> tuple[str, str, str, tuple[str, ...]]:
    """The interpreter, ``pytest|module|script``, its name and the arguments of a command.

    ``uv run`` and ``poetry run`` are left out: the environment is there already.
    """
    words = list(argv)
    if words[:2] in (["uv", "run"], ["poetry", "run"], ["pdm", "run"], ["pipenv", "run"]):
        words = words[2:]
        while words and words[0].startswith("-") and words[0] != "-m":
            takes_value = words[0] in ("--group", "--extra", "--with", "--python", "-p")
            words = words[2:] if takes_value else words[1:]
    python = words.pop(0) if words and _INTERPRETER.match(words[0]) else "python"
    while words and words[0].startswith("-") and words[0] != "-m":
        words.pop(0)  # -B, -u, -W error: of no meaning to the verdict
    if words[:1] == ["-m"] and len(words) > 1:
        return python, "module", words[1], tuple(words[2:])
    if words and words[0].endswith(".py"):
        return python, "script", words[0], tuple(words[1:])
    if words and words[0].rsplit("/", 1)[-1] in ("pytest", "py.test"):
        return python, "pytest", "pytest", tuple(words[1:])
    return python, "module", words[0] if words else "unittest", tuple(words[1:])


def _guest(bench: Bench, python: str) -> tuple[str, ...]:
    return (python, bench.box.path("guest.py"), bench.box.path("options.json"))


def place_guest(bench: Bench, *, coverage: bool, report: str | None = None) -> None:
    """Lay the guest program, its options and a copy of coverage.py into the outbox."""
    options: dict[str, str] = {}
    files = {"guest.py": Path(__file__).with_name("guest.py").read_bytes()}
    if report:
        options["report"] = bench.box.path(report)
    if coverage and bench.coverage:
        options["coverage_report"] = bench.box.path("coverage.json")
        options["coverage_package"] = bench.box.path("lib")
        files |= {f"lib/{name}": content for name, content in coverage_package().items()}
    bench.box.place({**files, "options.json": json.dumps(options).encode()})


@cache
def coverage_package() -> dict[str, bytes]:
    """The files of our own coverage.py; its C tracer serves interpreters of the same version."""
    spec = find_spec("coverage")
    if spec is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).parent
    return {
        f"coverage/{path.name}": path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.suffix in _COVERAGE_CODE and path.is_file()
    }


def parse_recorded(data: bytes) -> Counts | None:
    """What the guest program noted of a unittest run; None when it is no such record."""
    record = load_json(data)
    if not isinstance(record, dict):
        return None
    numbers = {key: _count(record.get(key)) for key in ("passed", "failed", "skipped", "broken")}
    if None in numbers.values():
        return None
    tally = Tally()
    failures = record.get("failures")
    for one in failures if isinstance(failures, list) else []:
        if isinstance(one, list) and len(one) == 2:
            tally.fail(text(one[0]), text(one[1]))
    known = {key: number or 0 for key, number in numbers.items()}
    return Counts(**known, failures=tuple(tally.failures))


def _count(value: object) -> int | None:
    ok = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT
    return value if ok and isinstance(value, int) else None

"""What the report of each test runner says, and what a forged one does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.checks.runners.base import Counts
from pytest_dora.checks.runners.command import parse_text
from pytest_dora.checks.runners.go import parse_go_events
from pytest_dora.checks.runners.javascript import (
    local,
    parse_jest_json,
    parse_mocha_json,
    with_unhandled,
)
from pytest_dora.checks.runners.node import parse_tap
from pytest_dora.checks.runners.python import invocation, parse_recorded


def numbers(counts: Counts | None) -> tuple[int, int, int, int]:
    assert counts is not None
    return counts.passed, counts.failed, counts.skipped, counts.broken


def dump(value: object) -> bytes:
    return json.dumps(value).encode()


def jest_file(*statuses: str, **more: object) -> dict[str, Any]:
    results = [
        {"status": status, "fullName": f"t{n}", "failureMessages": ["Error: no\n at x"]}
        for n, status in enumerate(statuses)
    ]
    return {"name": "/app/a.test.ts", "status": "passed", "assertionResults": results, **more}


def test_jest_counts_results_and_not_totals() -> None:
    report = {
        "numTotalTests": 99,
        "numFailedTests": 0,
        "success": True,
        "testResults": [jest_file("passed", "failed", "pending", "todo", "skipped")],
    }
    counts = parse_jest_json(dump(report))
    assert numbers(counts) == (1, 1, 3, 0)
    assert counts is not None
    assert counts.failures[0].message == "Error: no"


def test_jest_file_that_cannot_be_loaded_is_broken() -> None:
    message = "  ● Test suite failed to run\n\n    Cannot find module './nope'"
    report = {"testResults": [jest_file(status="failed", message=message)]}
    counts = parse_jest_json(dump(report))
    assert numbers(counts) == (0, 0, 0, 1)
    assert counts is not None
    assert counts.failures[0].message == "Cannot find module './nope'"


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b'{"testResults": 3}', b"[" * 200_000, b'{"testResults": {"a": 1}}'],
)
def test_jest_without_results_is_no_report(data: bytes) -> None:
    assert parse_jest_json(data) is None


def test_jest_entries_of_wrong_types_are_left_out() -> None:
    report = {
        "testResults": [
            None,
            3,
            {"assertionResults": "x"},
            {"assertionResults": [None, {"status": ["passed"]}, {"status": "passed"}]},
        ]
    }
    assert numbers(parse_jest_json(dump(report))) == (1, 0, 1, 0)


def test_mocha_counts_its_lists() -> None:
    report = {
        "stats": {"passes": 70}, "tests": [1, 2, 3], "passes": [1], "pending": [2],
        "failures": [{"fullTitle": "g bad", "err": {"message": "1 == 2"}, "file": "/app/t.js"}],
    }  # fmt: skip
    counts = parse_mocha_json(dump(report))
    assert numbers(counts) == (1, 1, 1, 0)
    assert counts is not None
    assert str(counts.failures[0].message) == "1 == 2"


def test_bun_errors_between_tests_are_taken_from_its_text() -> None:
    output = (
        "error: User not found\n(pass) caught it\n\nsrc/b.test.ts:\n\n"
        "# Unhandled error between tests\n-------------------------------\n"
        "1 | import './nope'\nerror: Cannot find module './nope'\n"
        "-------------------------------\n\n 1 pass\n 1 fail\n 1 error\nRan 2 tests\n"
    )
    counts = with_unhandled(Counts(passed=1), output)
    assert numbers(counts) == (1, 0, 0, 1)
    assert counts is not None
    assert counts.failures[0].name == "src/b.test.ts"
    assert counts.failures[0].message == "error: Cannot find module './nope'"
    assert with_unhandled(None, " 3 pass\n 0 fail\n") is None


def go_stream(*events: tuple[str, str, str]) -> bytes:
    return b"\n".join(
        dump({"Action": action, "Package": package, "Test": test})
        for action, package, test in events
    )


def test_go_counts_leaf_tests_only() -> None:
    stream = go_stream(
        ("pass", "m", "TestA/one"), ("fail", "m", "TestA/two"), ("fail", "m", "TestA"),
        ("skip", "m", "TestB"), ("fail", "m", ""),
    )  # fmt: skip
    assert numbers(parse_go_events(stream)) == (1, 1, 1, 0)


def test_go_package_that_does_not_build_is_broken() -> None:
    lines = [
        {"ImportPath": "m [m.test]", "Action": "build-output", "Output": "# m [m.test]\n"},
        {
            "ImportPath": "m [m.test]",
            "Action": "build-output",
            "Output": "./a_test.go:3:5: undefined: x\n",
        },
        {"Action": "fail", "Package": "m"},
    ]
    counts = parse_go_events(b"\n".join(map(dump, lines)))
    assert numbers(counts) == (0, 0, 0, 1)
    assert counts is not None
    assert counts.failures[0].message == "./a_test.go:3:5: undefined: x"


def test_go_package_that_older_versions_could_not_build_is_broken() -> None:
    text = b"# m [m.test]\n./a_test.go:3:5: undefined: x\nFAIL\tm [build failed]\n"
    skipped = go_stream(("skip", "m/sub", ""))
    counts = parse_go_events(text + skipped)
    assert numbers(counts) == (0, 0, 0, 1)
    assert counts is not None
    assert counts.failures[0].message == "./a_test.go:3:5: undefined: x"


def test_go_package_without_test_files_is_nothing() -> None:
    assert numbers(parse_go_events(go_stream(("skip", "m", "")))) == (0, 0, 0, 0)
    assert parse_go_events(b"# m\nbuild failed\n") is None


@pytest.mark.parametrize(
    "record",
    [
        {"passed": -1, "failed": 0, "skipped": 0, "broken": 0},
        {"passed": 10**9, "failed": 0, "skipped": 0, "broken": 0},
        {"passed": True, "failed": 0, "skipped": 0, "broken": 0},
        {"passed": 1.5, "failed": 0, "skipped": 0, "broken": 0},
        {"passed": 1}, [], None, "x",
    ],
)  # fmt: skip
def test_impossible_unittest_records_are_no_report(record: object) -> None:
    assert parse_recorded(dump(record)) is None


def test_nan_is_no_number_of_tests() -> None:
    assert parse_recorded(b'{"passed": NaN, "failed": 0, "skipped": 0, "broken": 0}') is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            " Test Files  2 failed (2)\n      Tests  1 failed | 3 passed | 1 skipped (5)\n",
            (3, 1, 1, 0),
        ),
        ("Tests:       1 failed, 2 todo, 4 passed, 7 total\n", (4, 1, 2, 0)),
        ("  12 passing (30ms)\n  1 pending\n", (12, 0, 1, 0)),
        ("==== 3 passed, 1 skipped in 0.12s ====\n", (3, 0, 1, 0)),
        ("Ran 4 tests in 0.001s\n\nFAILED (failures=1, skipped=1)\n", (2, 1, 1, 0)),
        ("# tests 3\n# pass 2\n# fail 1\n# cancelled 0\n# skipped 0\n# todo 0\n", (2, 1, 0, 0)),
    ],
)
def test_totals_of_known_runners_are_recognised_in_text(
    text: str, expected: tuple[int, ...]
) -> None:
    assert numbers(parse_text(text)) == expected


@pytest.mark.parametrize("text", ["", "all good", "built 3 modules", "passed"])
def test_other_text_holds_no_totals(text: str) -> None:
    assert parse_text(text) is None
    assert parse_tap(text) is None


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("pytest", "-q"), ("python", "pytest", "pytest", ("-q",))),
        (("python", "-m", "pytest", "-x"), ("python", "module", "pytest", ("-x",))),
        (("uv", "run", "--group", "dev", "pytest"), ("python", "pytest", "pytest", ())),
        (
            ("poetry", "run", "python3", "-B", "-m", "unittest"),
            ("python3", "module", "unittest", ()),
        ),
        (("python", "manage.py", "test"), ("python", "script", "manage.py", ("test",))),
        (
            ("/app/.venv/bin/python3.12", "tests.py"),
            ("/app/.venv/bin/python3.12", "script", "tests.py", ()),
        ),
    ],
)
def test_python_commands_are_taken_apart(
    argv: tuple[str, ...], expected: tuple[object, ...]
) -> None:
    assert invocation(argv) == expected


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("npx", "vitest", "run"), ("vitest", "run")),
        (("npx", "--no-install", "jest"), ("jest",)),
        (("pnpm", "exec", "vitest"), ("vitest",)),
        (("npm", "exec", "--", "jest"), ("jest",)),
        (("bunx", "--bun", "vitest"), ("bunx", "--bun", "vitest")),
        (("npm", "test"), ("npm", "test")),
    ],
)
def test_nothing_is_run_through_a_downloader(
    argv: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert local(argv) == expected


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "testResults",
                        "assertionResults",
                        "status",
                        "tests",
                        "failures",
                        "err",
                        "passes",
                        "Action",
                        "Package",
                        "passed",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=30,
    )
)
def test_no_json_makes_a_reader_raise(value: object) -> None:
    data = dump(value)
    for parse in (parse_jest_json, parse_mocha_json, parse_go_events, parse_recorded):
        counts = parse(data)
        assert counts is None or counts.total >= 0


def test_a_report_crowded_with_empty_lists_is_not_parsed() -> None:
    assert parse_jest_json(b'{"testResults": [' + b"[]," * 1_000_000 + b"[]]}") is None

"""Coverage is what the numbers of single files say; impossible numbers say nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.checks.coverage import (
    Coverage,
    parse_coverage_py,
    parse_go_profile,
    parse_istanbul_summary,
    parse_lcov,
    union,
)


def test_lcov_counts_lines_that_ran() -> None:
    found = parse_lcov(b"TN:\nSF:src/m.ts\nDA:1,0\nDA:2,7\nLF:2\nLH:1\nend_of_record\n")
    assert found is not None
    assert found.files == {"src/m.ts": (1, 2)}
    assert found.percent == 50.0


def test_lcov_without_single_lines_falls_back_to_its_sums() -> None:
    found = parse_lcov(b"SF:a.js\nLF:10\nLH:4\nend_of_record\n")
    assert found is not None
    assert found.files == {"a.js": (4, 10)}


def test_istanbul_takes_files_and_never_the_total() -> None:
    data = {
        "total": {"lines": {"total": 1000, "covered": 1000}},
        "/app/a.ts": {"lines": {"total": 4, "covered": 3}},
    }
    found = parse_istanbul_summary(json.dumps(data).encode())
    assert found is not None
    assert found.files == {"/app/a.ts": (3, 4)}


def test_coverage_py_takes_the_summary_of_each_file() -> None:
    data = {"files": {"app/m.py": {"summary": {"covered_lines": 3, "num_statements": 4}}}}
    found = parse_coverage_py(json.dumps(data).encode())
    assert found is not None
    assert found.percent == 75.0


def test_a_go_block_ran_when_the_tests_of_any_package_ran_it() -> None:
    profile = (
        b"mode: set\nexample.com/x/a.go:3.1,5.2 2 0\nexample.com/x/a.go:3.1,5.2 2 1\n"
        b"example.com/x/a.go:7.1,9.2 2 0\n"
    )
    found = parse_go_profile(profile, "example.com/x")
    assert found is not None
    assert found.files == {"a.go": (2, 4)}


@pytest.mark.parametrize(
    "numbers", [(-1, 4), (5, 4), (1, 10**9), (1.5, 4), ("x", 4), (None, 4), (True, 4)]
)
def test_impossible_numbers_are_left_out(numbers: tuple[object, object]) -> None:
    summary = {"covered_lines": numbers[0], "num_statements": numbers[1]}
    data = json.dumps({"files": {"a.py": {"summary": summary}}}).encode()
    assert parse_coverage_py(data) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"files":{"a":{"summary":{"covered_lines":NaN,"num_statements":Infinity}}}}',
        "[" * 100_000,
        "null",
        "[]",
        "{",
        "",
    ],
)
def test_json_that_is_no_report_is_none(text: str) -> None:
    assert parse_coverage_py(text.encode()) is None
    assert parse_istanbul_summary(text.encode()) is None


def test_nothing_measured_is_none_and_never_zero() -> None:
    assert Coverage({}).percent is None
    assert Coverage({"a": (0, 0)}).percent is None
    assert Coverage({"a": (0, 3)}).percent == 0.0


def test_only_the_program_counts_not_tests_nor_dependencies() -> None:
    files = {
        "/app/src/a.ts": (1, 2),
        "/app/src/a.test.ts": (9, 9),
        "/app/node_modules/x/i.js": (0, 9),
        "/elsewhere/b.ts": (0, 9),
        "../outside.ts": (0, 9),
        "src/tests/helper.ts": (9, 9),
    }
    assert Coverage(files).of_the_program("/app", ".").files == {"src/a.ts": (1, 2)}


def test_paths_relative_to_a_suites_folder_become_relative_to_the_app() -> None:
    found = Coverage({"src/a.ts": (1, 2)}).of_the_program("/app", "server")
    assert found.files == {"server/src/a.ts": (1, 2)}


def test_a_file_covered_by_two_suites_counts_once() -> None:
    both = union([Coverage({"a": (1, 4), "b": (0, 1)}), Coverage({"a": (3, 4)})])
    assert both.files == {"a": (3, 4), "b": (0, 1)}


@given(st.binary(max_size=300))
def test_no_bytes_make_a_parser_raise(data: bytes) -> None:
    for parse in (parse_lcov, parse_go_profile, parse_coverage_py, parse_istanbul_summary):
        found = parse(data)
        assert found is None or 0 <= found.covered <= found.lines

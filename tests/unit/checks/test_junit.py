"""The JUnit reader believes test cases only, and gives hostile documents nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.checks.runners.base import MAX_FAILURES
from pytest_dora.checks.runners.junit import parse_junit


def report(*cases: str, **totals: str) -> bytes:
    attributes = "".join(f' {name}="{value}"' for name, value in totals.items())
    return f"<testsuites><testsuite{attributes}>{''.join(cases)}</testsuite></testsuites>".encode()


def test_outcomes_are_counted_case_by_case() -> None:
    counts = parse_junit(
        report(
            '<testcase name="a"/>',
            '<testcase name="b"><failure message="1 == 2">at line 3</failure></testcase>',
            '<testcase name="c"><error message="boom"/></testcase>',
            '<testcase name="d"><skipped/></testcase>',
        )
    )
    assert counts is not None
    assert (counts.passed, counts.failed, counts.skipped, counts.broken) == (1, 2, 1, 0)
    assert [one.message for one in counts.failures] == ["1 == 2", "boom"]


def test_totals_beside_the_cases_are_not_believed() -> None:
    counts = parse_junit(report(tests="500", failures="-3"))
    assert counts is not None
    assert counts.total == 0


def test_a_failure_without_message_is_told_by_its_text() -> None:
    counts = parse_junit(
        report(
            '<testcase name="t" classname="C" file="t.php" line="7"><failure>\n  no\n</failure></testcase>'
        )
    )
    assert counts is not None
    assert counts.failures[0].name == "C > t"
    assert counts.failures[0].message == "no"
    assert counts.failures[0].location == "t.php:7"


def test_a_module_that_pytest_cannot_import_is_broken_not_failed() -> None:
    counts = parse_junit(
        report(
            '<testcase name="tests.a"><error message="collection failure">E  no</error></testcase>'
        )
    )
    assert counts is not None
    assert (counts.failed, counts.broken) == (0, 1)


def test_only_the_first_failures_are_kept_and_all_are_counted() -> None:
    counts = parse_junit(report(*['<testcase name="x"><failure/></testcase>'] * 500))
    assert counts is not None
    assert counts.failed == 500
    assert len(counts.failures) == MAX_FAILURES


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not xml",
        b"<html><body/></html>",
        b"<testsuites><testcase name='x'>",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="nonsense"?><testsuite/>',
        b'<!DOCTYPE t [<!ENTITY a "b">]><testsuite><testcase name="&a;"/></testsuite>',
        b'<!DOCTYPE t SYSTEM "file:///etc/passwd"><testsuite><testcase name="x"/></testsuite>',
    ],
)
def test_what_is_no_report_is_refused(data: bytes) -> None:
    assert parse_junit(data) is None


def test_a_billion_laughs_are_refused_before_the_first() -> None:
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE t [<!ENTITY l0 "lol">{lol}]><testsuite><testcase name="&l9;"/></testsuite>'
    assert parse_junit(bomb.encode()) is None


def test_a_deep_document_ends_without_recursion() -> None:
    depth = 50_000
    data = b"<testsuites>" + b"<testsuite>" * depth + b"</testsuite>" * depth + b"</testsuites>"
    counts = parse_junit(data)
    assert counts is not None
    assert counts.total == 0


@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    for document in (data, b"<testsuite>" + data + b"</testsuite>"):
        counts = parse_junit(document)
        assert counts is None or counts.total >= 0

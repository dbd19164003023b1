from __future__ import annotations

import csv
import io
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.runtime.services.postgres_log import (
    OURS,
    Statement,
    StatementLog,
    parse,
    split_records,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60)


def record(
    message: str,
    database: str = "shop",
    *,
    severity: str = "LOG",
    application: str = "",
    user: str = "shop",
) -> str:
    row = [""] * 26
    row[0], row[1], row[2], row[5] = "2026-01-02 03:04:05.678 UTC", user, database, "abc.1"
    row[11], row[13], row[22] = severity, message, application
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(row)
    return out.getvalue()


def only(text: str) -> Statement:
    ((_, statement),) = parse(text.encode())
    return statement


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        ("statement: SELECT 1", "statement", "SELECT 1"),
        ("execute <unnamed>: SELECT a\nFROM b", "statement", "SELECT a\nFROM b"),
        ("execute s1: SELECT 'x: y'", "statement", "SELECT 'x: y'"),
        ("connection authorized: user=shop database=shop", "connect", None),
    ],
)
def test_logins_and_statements_are_told_apart(message: str, kind: str, text: str | None) -> None:
    found = only(record(message))
    assert found.kind == kind
    assert found.text == (text or message)
    assert found.at.isoformat() == "2026-01-02T03:04:05.678000+00:00"


def test_refused_statements_are_errors() -> None:
    assert only(record("permission denied for table x", severity="ERROR")).kind == "error"


@pytest.mark.parametrize("message", ["duration: 3 ms", "connection received: host=::1", ""])
def test_other_lines_are_nobodys_doing(message: str) -> None:
    assert list(parse(record(message).encode())) == []


def test_our_own_sessions_are_left_out() -> None:
    assert list(parse(record("statement: SELECT 1", application=OURS).encode())) == []


def test_a_statement_of_any_length_is_read_and_cut() -> None:
    found = only(record("statement: " + 'x"\n' * 200_000))
    assert found.text.startswith('x"\nx"')
    assert len(found.text) == 10_000


@given(st.lists(TEXT, max_size=6), st.integers(1, 40))
def test_records_are_read_whole_however_the_file_is_cut(texts: list[str], size: int) -> None:
    data = "".join(record(f"statement: {text}") for text in texts).encode()
    read, partial = b"", b""
    for start in range(0, len(data), size):
        complete, partial = split_records(partial + data[start : start + size])
        read += complete
        assert len(list(parse(complete))) <= len(texts)
    assert partial == b""
    assert read == data
    assert [one.text for _, one in parse(read)] == texts


def test_the_log_is_followed_across_files_and_what_is_read_goes(tmp_path: Path) -> None:
    log = StatementLog(tmp_path)
    try:
        log.watch("shop")
        first, second = tmp_path / "20260101-000000.csv", tmp_path / "20260101-000001.csv"
        first.write_text(record("statement: one"))
        assert [one.text for one in log.of("shop")] == ["one"]
        with first.open("a") as file:
            file.write(record("statement: two") + record("statement: alien", database="other"))
        second.write_text(record("statement: three"))
        assert [one.text for one in log.of("shop")] == ["one", "two", "three"]
        assert not first.exists()
        log.forget("shop")
        assert log.of("shop") == ()
    finally:
        log.close()


def test_reading_does_not_wait_to_be_asked(tmp_path: Path) -> None:
    log = StatementLog(tmp_path)
    try:
        log.watch("shop")
        old, new = tmp_path / "1.csv", tmp_path / "2.csv"
        old.write_text(record("statement: one"))
        new.write_text("")
        deadline = time.monotonic() + 10
        while old.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert [one.text for one in log.of("shop")] == ["one"]
    finally:
        log.close()


def test_a_link_in_the_log_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(record("statement: secret"))
    (tmp_path / "log").mkdir()
    (tmp_path / "log/1.csv").symlink_to(tmp_path / "secret")
    log = StatementLog(tmp_path / "log")
    try:
        log.watch("shop")
        assert log.of("shop") == ()
    finally:
        log.close()

"""What untrusted programs print: nothing is lost unsaid, nothing is obeyed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_dora.runtime.output import TAIL_BYTES, Log, clean, decode

_LEFT_OUT = re.compile(rb"\n\[\.\.\. (\d+) bytes left out\]\n")


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[38;2;1;2;3mtrue colour\x1b[m", "true colour"),
        ("\x1b[2J\x1b[H\x1b[?25lcleared", "cleared"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\after", "after"),
        ("\x1b(Bcharset", "charset"),
        ("\x1bcreset", "reset"),
        ("\x1b7saved", "saved"),
        ("bell\x07 back\x08space\x00", "bell backspace"),
        ("\x9b31mC1", "31mC1"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("right\u202eto\u202c left\u2066\u2069", "rightto left"),
        ("a\u2028b\u2029c\u200b\ufeff", "abc"),
        ("grüße 漢字 👩\u200d🚀", "grüße 漢字 👩\u200d🚀"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("\x1b\x1b[31mtwice", "twice"),
        ("\x1b\x00[31mhidden", "[31mhidden"),
        ("\x1b[31", "[31"),
        ("\x1b", ""),
    ],
)
def test_text_is_cleaned(printed: str, shown: str) -> None:
    assert clean(printed) == shown


def test_a_sequence_that_never_ends_hides_no_other_line() -> None:
    assert clean("\x1b]0;title\nError: the truth\n") == "\nError: the truth\n"
    assert clean("\x1bPdevice\nError: the truth") == "\nError: the truth"


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert decode(b"caf\xe9 \xff\xc2\x9b31m") == "caf� �31m"


@given(st.text(st.characters(codec=None, categories=None), max_size=200))
def test_clean_text_is_clean_for_ever_and_fits_into_json(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    cleaned.encode()
    assert not any(one < " " and one not in "\t\n" for one in cleaned)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("evil", ["\x1b]", "\x1b[", "\x1b[1;", "\x1b", "\x1b( ", "\r"])
def test_cleaning_takes_time_in_proportion(evil: str) -> None:
    clock = time.process_time()
    clean(evil * 300_000)
    assert time.process_time() - clock < 5


# --- what a log keeps -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "log"


chunks = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.builds(
            lambda size, one: bytes([one]) * size, st.integers(0, 9000), st.integers(32, 126)
        ),
    ),
    max_size=25,
)
_PLAIN = bytes(sorted({*b"\t\n", *range(32, 127), *range(128, 256)}))
_OTHERS = bytes(one for one in range(256) if one not in _PLAIN)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chunks=chunks, limit=st.integers(0, 40_000))
def test_what_is_written_is_kept_or_counted_as_left_out(
    path: Path, chunks: list[bytes], limit: int
) -> None:
    path.unlink(missing_ok=True)
    printed = [chunk.translate(None, _OTHERS) for chunk in chunks]
    whole = b"".join(printed)
    log = Log(path, limit)
    for chunk in printed:
        log.write(chunk)
    assert log.size == len(whole)
    assert log.tail() == decode(whole[-TAIL_BYTES:])
    log.close()
    kept = path.read_bytes()
    marks = _LEFT_OUT.findall(kept)
    if len(whole) <= limit // 2 * 2:
        assert kept == whole
    else:
        head, _, tail = kept.partition(b"\n[... %d bytes left out]\n" % int(marks[-1]))
        assert whole.startswith(head)
        assert whole.endswith(tail)
        assert len(head) + int(marks[-1]) + len(tail) == len(whole)
        assert len(head) + len(tail) <= limit


@settings(max_examples=60, deadline=None)
@given(total=st.integers(0, 3 * TAIL_BYTES), size=st.integers(1, 70_000))
def test_the_end_of_what_is_printed_is_at_hand_at_any_time(total: int, size: int) -> None:
    whole = (b"0123456789" * (total // 10 + 1))[:total]
    log = Log(None, 1000)
    for start in range(0, total, size):
        log.write(whole[start : start + size])
    assert log.tail() == whole[-TAIL_BYTES:].decode()
    assert log.tail(7) == whole[-7:].decode()
    log.close()


@pytest.mark.parametrize("total", [0, 5, TAIL_BYTES, TAIL_BYTES + 1, 5 * TAIL_BYTES])
def test_an_excerpt_is_the_beginning_and_the_end(total: int) -> None:
    whole = (b"0123456789" * (total // 10 + 1))[:total]
    log = Log(None, 1000)
    for start in range(0, total, 999):
        log.write(whole[start : start + 999])
    half = TAIL_BYTES // 2
    cut = whole[:half] + b"\n[...]\n" + whole[-half:]
    assert log.excerpt() == (whole if total <= TAIL_BYTES else cut).decode()


def test_a_program_that_prints_byte_by_byte_costs_no_more_memory(path: Path) -> None:
    log = Log(None, 2**20)
    for _ in range(600_000):
        log.write(b"ab")
    assert len(log._tail) < 1000
    assert log._tail_bytes < 2**20


def test_the_file_holds_nothing_that_a_terminal_obeys(path: Path) -> None:
    path.unlink(missing_ok=True)
    log = Log(path, 100)
    for _ in range(40):
        log.write(b"\x1b[31mred\x1b]0;title\x07\r\x00\x7f\n")
    log.close()
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", path.read_bytes())


def test_logs_of_one_check_follow_one_another(path: Path) -> None:
    path.unlink(missing_ok=True)
    for word in (b"first\n", b"second\n"):
        log = Log(path, 100)
        log.write(word)
        log.close()
        log.close()
    assert path.read_text() == "first\nsecond\n"


def test_a_flood_is_noticed_once_it_is_over_the_limit() -> None:
    log = Log(None, 100, flood=1000)
    log.write(b"x" * 1000)
    assert not log.flooded
    log.write(b"x")
    assert log.flooded


def test_a_disk_that_is_full_loses_the_log_and_nothing_else() -> None:
    log = Log(Path("/dev/full"), 1000)
    log.write(b"printed")
    log.close()
    assert log.tail() == "printed"


# --- real programs --------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log", 10**6)
    yield log
    log.close(0)


def program(script: str, log: Log, **more: str) -> subprocess.Popen[bytes]:
    pipe = log.open_pipe()
    try:
        return subprocess.Popen([sys.executable, "-c", script], stdout=pipe, stderr=pipe, env=more)
    finally:
        os.close(pipe)


def test_output_and_errors_come_in_the_order_they_were_printed(log: Log, tmp_path: Path) -> None:
    script = "import os\nfor n in range(500): os.write(1 + n % 2, b'%d\\n' % n)"
    program(script, log).wait(20)
    log.close()
    assert (tmp_path / "log").read_text().split() == [str(number) for number in range(500)]


def test_lines_of_two_programs_stay_whole(log: Log, tmp_path: Path) -> None:
    script = "import os\nfor n in range(300): os.write(1, b'%d' % (os.getpid() % 2) * 50 + b'\\n')"
    pipe = log.open_pipe()
    both = [
        subprocess.Popen([sys.executable, "-c", script], stdout=pipe, stderr=pipe) for _ in "ab"
    ]
    os.close(pipe)
    for one in both:
        one.wait(20)
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 600
    assert set(lines) <= {"0" * 50, "1" * 50}


def test_what_was_printed_just_before_the_end_is_there(log: Log) -> None:
    script = "import os; os.write(1, b'x' * 200_000 + b'last words'); os.kill(os.getpid(), 9)"
    assert program(script, log).wait(20) == -9
    log.close(10)
    assert log.tail().endswith("last words")
    assert log.size == 200_010


def test_a_daemon_that_keeps_the_pipe_holds_nobody_up(log: Log) -> None:
    daemon = program("import time; print('started', flush=True); time.sleep(60)", log)
    deadline = time.monotonic() + 20
    while not log.size and time.monotonic() < deadline:
        time.sleep(0.01)
    clock = time.perf_counter()
    log.close(0.2)
    assert time.perf_counter() - clock < 2
    assert log.tail() == "started\n"
    daemon.kill()
    daemon.wait(5)


def test_many_threads_may_write_at_once(log: Log, tmp_path: Path) -> None:
    def write(letter: bytes) -> None:
        for _ in range(200):
            log.write(letter * 99 + b"\n")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert sorted(lines) == sorted([letter * 99 for letter in "abc"] * 200)

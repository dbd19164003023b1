"""CPU tokens across real processes, however these end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_dora.runtime.tokens import Tokens

HOLDER = """
import sys
from pathlib import Path
from pytest_dora.runtime.tokens import Tokens
tokens = Tokens(Path(sys.argv[1]), int(sys.argv[2]))
with getattr(tokens, sys.argv[3])() as grant:
    print(grant.contended, flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that asks for a token, and holds it until told to end."""

    def __init__(self, folder: Path, count: int, kind: str) -> None:
        argv = [sys.executable, "-c", HOLDER, str(folder), str(count), kind]
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.holds = threading.Event()
        self.contended: bool | None = None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            line = stdout.readline()
        if line:
            self.contended = line.strip() == "True"
            self.holds.set()

    def end(self) -> None:
        # not communicate(): the listener may still be reading
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self._listener.join(20)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.end()


class Processes:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Holder] = []

    def ask(self, count: int, kind: str = "cpu") -> Holder:
        self.started.append(Holder(self.folder, count, kind))
        return self.started[-1]

    def hold(self, count: int, kind: str = "cpu") -> Holder:
        holder = self.ask(count, kind)
        assert holder.holds.wait(30), "no token in time"
        return holder


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "tokens")
    yield made
    for holder in made.started:
        holder.kill()


def test_as_many_processes_hold_a_token_as_there_are(processes: Processes) -> None:
    first, second = processes.hold(2), processes.hold(2)
    third = processes.ask(2)
    assert not third.holds.wait(1), "a third token of two"
    first.end()
    assert third.holds.wait(20)
    assert (first.contended, second.contended, third.contended) == (False, True, True)


def test_the_token_of_a_killed_process_is_free(processes: Processes) -> None:
    processes.hold(1).kill()
    clock = time.perf_counter()
    with Tokens(processes.folder, 1).cpu() as grant:
        assert not grant.contended
    assert time.perf_counter() - clock < 1


def test_a_process_that_is_killed_while_it_holds_all_gives_all_back(processes: Processes) -> None:
    processes.hold(3, "exclusive").kill()
    assert [processes.hold(3).contended for _ in range(3)] == [False, True, True]


def test_exclusive_waits_for_all_and_keeps_newcomers_out(processes: Processes) -> None:
    working = processes.hold(2)
    alone = processes.ask(2, "exclusive")
    assert not alone.holds.wait(0.7), "exclusive beside another"
    newcomer = processes.ask(2)
    assert not newcomer.holds.wait(0.7), "a newcomer overtook who waits for all"
    working.end()
    assert alone.holds.wait(20)
    assert not newcomer.holds.wait(0.3), "a newcomer beside who holds all"
    alone.end()
    assert newcomer.holds.wait(20)


def test_waiting_is_measured(processes: Processes) -> None:
    holder = processes.hold(1)
    threading.Timer(0.5, holder.end).start()
    with Tokens(processes.folder, 1).cpu() as grant:
        assert 0.3 < grant.waited < 15


@pytest.mark.timeout(30)
def test_who_holds_a_token_may_ask_again(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path, 1)
    with tokens.cpu():
        with tokens.cpu() as again:
            assert again == (0.0, False)
        with tokens.cpu():
            pass
        assert not another_thread_gets(tokens), "the inner one gave the token away"
    assert another_thread_gets(tokens)


@pytest.mark.timeout(30)
def test_who_holds_all_may_ask_for_one(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path, 2)
    with tokens.exclusive(), tokens.cpu() as grant:
        assert grant == (0.0, False)
    assert another_thread_gets(tokens)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("outer", ["cpu", "exclusive"])
def test_asking_for_all_while_holding_is_an_error_and_no_deadlock(
    tmp_path: Path, outer: str
) -> None:
    tokens = Tokens(tmp_path, 2)
    with getattr(tokens, outer)(), pytest.raises(RuntimeError, match="holds a token"):
        tokens.exclusive().__enter__()
    with tokens.exclusive():
        pass


def test_an_exception_gives_the_token_back(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path, 1)
    for kind in (tokens.cpu, tokens.exclusive):
        with pytest.raises(KeyboardInterrupt), kind():
            raise KeyboardInterrupt
    assert another_thread_gets(tokens)


def test_a_count_of_nought_is_one(tmp_path: Path) -> None:
    with Tokens(tmp_path, 0).cpu() as grant:
        assert not grant.contended


def another_thread_gets(tokens: Tokens) -> bool:
    """Whether a token can be had at once by somebody else."""
    got = threading.Event()
    leave = threading.Event()

    def take() -> None:
        with tokens.cpu():
            got.set()
            leave.wait(10)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    found = got.wait(0.5)
    leave.set()
    if found:
        thread.join(5)
    return found

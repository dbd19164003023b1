from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_dora.plugin.watch import EXIT_ORPHANED, Terminated, Termination

_CHILD = """
import os, sys, time
from pytest_dora.plugin import watch
if {fallback}:
    del os.pidfd_open
def end():
    with open(sys.argv[1], "w") as file:
        file.write("killed the sandboxes")
watch.watch_parent(os.getppid(), end)
print("watching", flush=True)
time.sleep(60)
"""
_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("fallback", [False, True], ids=["pidfd", "polling"])
def test_the_end_of_the_parent_ends_the_child_after_its_sandboxes(
    tmp_path: Path, fallback: bool
) -> None:
    mark = tmp_path / "mark"
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, _CHILD.format(fallback=fallback), str(mark)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    descriptor = os.pidfd_open(child)
    parent.kill()
    parent.communicate()
    import select

    ready, _, _ = select.select([descriptor], [], [], 5)
    os.close(descriptor)
    assert ready, "the child outlived its parent"
    assert mark.read_text() == "killed the sandboxes"


def test_a_process_that_is_no_parent_is_not_watched() -> None:
    program = (
        "import os; from pytest_dora.plugin.watch import watch_parent;"
        "watch_parent(1 if os.getppid() != 1 else 2, lambda: None); print('alive')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout) == (0, "alive\n")
    assert done.returncode != EXIT_ORPHANED


def test_the_first_signal_interrupts_and_later_ones_do_not() -> None:
    before = signal.getsignal(signal.SIGTERM)
    termination = Termination()
    termination.install()
    try:
        with pytest.raises(Terminated, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert termination.ending
        assert not issubclass(Terminated, Exception), "no check may swallow it"
    finally:
        termination.restore()
    assert signal.getsignal(signal.SIGTERM) is before

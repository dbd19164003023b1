"""What a person sees at a terminal, and what must never be seen."""

from __future__ import annotations

import os
import pty
import re
import subprocess

import pytest

from tests.acceptance.plugin.project import FAKE, Project


def _at_a_terminal(project: Project, *args: str) -> str:
    """The bytes that a terminal of 100 columns gets."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        project.argv(*args), cwd=project.root, env={**project.environment(), "COLUMNS": "100"},
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    read = bytearray()
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        read += data
    os.close(ours)
    process.wait(60)
    return read.decode()


@pytest.mark.parametrize("mode", [(), ("-n", "1")], ids=["serial", "worker"])
def test_a_terminal_shows_what_runs_now_and_each_failure_as_it_comes(
    project: Project, mode: tuple[str, ...]
) -> None:
    project.app("bad", beta={"outcome": "failed", "reason": "no_start", "message": "cannot listen"})
    text = _at_a_terminal(project, "apps", *FAKE, *mode)
    assert re.search(r"\r1 of 3 done, running: bad :: beta since \d\d:\d\d:\d\d", text)
    told = text.index("bad :: beta: failed (no_start): cannot listen")
    assert told < text.index("= FAILURES =")
    assert re.search(r"1 failed.*2 passed", text)
    assert re.search(r"FAILED.* .dora/fleet.toml::.*bad::beta", text)
    shown = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]
    assert not any("running:" in line for line in shown), "the line is gone at the end"


def test_elsewhere_pytests_own_dots_stay(project: Project) -> None:
    project.app("good")
    text = project.run("apps", *FAKE, "-p", "no:randomly").text
    assert ".dora/fleet.toml ..." in text
    assert "running:" not in text


def test_the_end_is_a_table_and_the_gate_in_one_sentence(project: Project) -> None:
    project.app("good")
    project.app("bad", alpha={"outcome": "failed"}, beta={"do": "raise"})
    ran = project.run("apps", *FAKE, "--dora-check", "build", "--dora-check", "runtime",
                      "--dora-fail-under", "50", "-k", "not build and not runtime")  # fmt: skip
    lines = ran.text.splitlines()
    head = next(line for line in lines if line.startswith("app "))
    row = next(line for line in lines if line.startswith("bad "))
    assert head.split() == ["app", "alpha", "beta", "gamma", "level"]
    assert row.split() == ["bad", "FAILED", "ERROR", "passed", "-"]
    assert sum(line.startswith("The gate research was not evaluated") for line in lines) == 1


def test_a_password_in_a_setting_is_in_no_file_of_the_run(project: Project) -> None:
    project.app("good")
    ran = project.run("apps", *FAKE, "--dora-postgres", "postgresql://me:geheim@db/x", "-n", "1")
    assert ran.status == 0, ran.text
    assert ran.report["settings"]["postgres_url"] == "postgresql://***@db/x"
    files = [path for path in (project.root / ".dora").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if b"geheim" in path.read_bytes()] == []
    assert "geheim" not in ran.text

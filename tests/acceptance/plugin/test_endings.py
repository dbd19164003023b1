"""Deaths and interruptions: nothing is lost, nothing is left behind, nobody waits for ever."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.acceptance.plugin.project import FAKE, Project, eventually


@pytest.mark.parametrize("workers", ["1", "6"])
def test_a_dead_worker_costs_one_item(project: Project, workers: str) -> None:
    for name in ("a", "b", "c", "d"):
        project.app(name)
    project.app("killer", beta={"do": "kill"})
    project.app("leaver", alpha={"do": "exit"})
    ran = project.run("apps", *FAKE, "-n", workers)
    assert ran.status == 1, ran.text
    assert "2 failed, 16 passed" in ran.text
    outcomes = ran.outcomes
    assert outcomes.pop("killer") == {"alpha": "passed", "beta": "crashed", "gamma": "passed"}
    assert outcomes.pop("leaver") == {"alpha": "crashed", "beta": "passed", "gamma": "passed"}
    assert {one for checks in outcomes.values() for one in checks.values()} == {"passed"}
    asked = [(app, check) for app, check, _, _ in project.asked]
    assert len(asked) == len(set(asked)) == 18, "no item was run twice"


def test_a_crashed_item_is_rerun_where_that_is_wanted(project: Project) -> None:
    project.app("killer", beta={"do": "kill", "then": {"outcome": "passed"}})
    ran = project.run("apps", *FAKE, "-n", "2", "-p", "pytest_rerunfailures", "--reruns", "1")
    assert ran.status == 0, ran.text
    assert ran.check("killer", "beta")["outcome"] == "passed"
    assert ran.check("killer", "beta")["attempts"] == 2


def test_without_replacements_the_rest_is_not_run_and_the_session_fails(project: Project) -> None:
    project.app("killer", alpha={"do": "kill"})
    ran = project.run("apps", *FAKE, "-n", "1", "--max-worker-restart", "0")
    assert ran.status != 0
    assert ran.outcomes["killer"] == {"alpha": "crashed", "beta": "not_run", "gamma": "not_run"}
    assert "2 of 3 checks have no answer" in ran.text


@pytest.mark.parametrize(
    ("number", "send", "mode"),
    [
        (signal.SIGTERM, os.kill, ()),
        (signal.SIGINT, os.kill, ()),
        (signal.SIGTERM, os.kill, ("-n", "2")),
        (signal.SIGINT, os.kill, ("-n", "2")),
        (signal.SIGINT, os.killpg, ("-n", "2")),
    ],
    ids=["terminate", "interrupt", "terminate-workers", "interrupt-workers", "ctrl-c-workers"],
)
def test_a_told_end_leaves_a_valid_report_and_no_process(
    project: Project,
    number: signal.Signals,
    send: Callable[[int, int], None],
    mode: tuple[str, ...],
) -> None:
    """A CI system signals the controller alone, a terminal all of its processes."""
    project.app("done")
    project.app("slow", alpha={"do": "wait"})
    with project.running("apps", *FAKE, *mode, "-p", "no:randomly") as process:
        waiting = project.waiting()
        family = [
            psutil.Process(process.pid),
            *psutil.Process(process.pid).children(recursive=True),
        ]
        assert set(waiting) <= {one.pid for one in family}
        clock = time.monotonic()
        send(process.pid, number)
        text, _ = process.communicate(timeout=60)
    assert time.monotonic() - clock < 9, "xdist had to kill workers that did not end"
    assert process.returncode == 2, text
    report = project.report()
    assert report["status"] == "interrupted"
    (slow,) = [app for app in report["apps"] if app["app_id"] == "slow"]
    assert {one["outcome"] for one in slow["checks"].values()} == {"not_run"}
    assert slow["checks"]["alpha"]["reason"] == "interrupted"
    psutil.wait_procs(family, timeout=10)
    assert [one for one in family if one.is_running()] == []


def test_workers_end_at_once_when_their_controller_is_killed(project: Project) -> None:
    project.app("one", alpha={"do": "wait"})
    project.app("two", alpha={"do": "wait"})
    with project.running("apps", *FAKE, "-n", "2") as process:
        project.waiting(2)
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) >= 2
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=3)
    assert alive == []
    report = project.report()
    assert report["status"] == "started", "what a killed run leaves must not look finished"


def test_the_spools_of_a_killed_run_tell_what_ran(project: Project) -> None:
    project.app("one", beta={"do": "wait"})
    with project.running("apps", *FAKE, "-n", "1") as process:
        project.waiting()
        process.kill()
        process.wait()
    from pytest_dora.report.inputs import read_run

    (folder,) = (project.root / ".dora/runs").iterdir()
    eventually(lambda: _lines(folder) >= 4, 5)
    told = {result.check_id: result.outcome.value for result in read_run(folder).results}
    assert told == {"alpha": "passed", "beta": "crashed"}


def _lines(folder: Path) -> int:
    return sum(path.read_text().count("\n") for path in folder.glob("spool/*.jsonl"))


def test_an_error_of_ours_ends_with_3_and_says_so(project: Project) -> None:
    project.app("shop")
    with (project.root / "conftest.py").open("a") as conftest:
        conftest.write(
            "\ndef pytest_dora_write(report, run_dir):\n    raise KeyError('a writer is broken')\n"
        )
    ran = project.run("apps", *FAKE)
    assert ran.status == 3, ran.text
    assert "the report could not be made: KeyError('a writer is broken')" in ran.text
    assert ran.report["status"] == "finished", "ours was written before"
    (log,) = (project.root / ".dora/runs").glob("*/internal-error.log")
    assert "KeyError" in log.read_text()


def test_a_sandbox_dies_with_the_controller(project: Project, tmp_path: Path) -> None:
    """With a real sandbox, whose programs are no children of the worker's process group."""
    mark = f"dora-test-{os.getpid()}-{id(tmp_path)}"
    conftest = (project.root / "conftest.py").read_text().replace(
        'case "wait":',
        'case "sandbox":\n'
        "            built = session.installed()\n"
        f"            built.run(['sh', '-c', 'echo > /dora-out/up; sleep 61; : {mark}'],"
        " timeout=60, name='sleep')\n"
        '        case "wait":',
    )  # fmt: skip
    (project.root / "conftest.py").write_text(conftest)
    project.env["PYTEST_DORA_SANDBOX"] = "auto"
    project.app("one", alpha={"do": "sandbox"})
    with project.running("apps", *FAKE, "-n", "1") as process:
        eventually(lambda: bool(_marked(mark)), 90)
        process.kill()
        process.wait()
        eventually(lambda: not _marked(mark), 5)


def _marked(mark: str) -> list[int]:
    """Processes with the mark in their arguments, in whichever sandbox they are."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        words = one.info["cmdline"] or []
        if words[:2] == ["sh", "-c"] and mark in words[-1]:
            found.append(one.pid)
    return found


def test_a_started_report_is_there_before_the_first_check(project: Project) -> None:
    project.app("slow", alpha={"do": "wait"})
    with project.running("apps", *FAKE) as process:
        project.waiting()
        report = json.loads((project.root / ".dora/report.json").read_text())
        process.kill()
    assert report["status"] == "started"
    assert {one["outcome"] for one in report["apps"][0]["checks"].values()} == {"not_run"}

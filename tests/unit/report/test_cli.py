"""The command: what it prints, how it ends, and that it never shows a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_dora.cli import main
from pytest_dora.discovery.fleet import write_fleet
from pytest_dora.model.app import Generation
from pytest_dora.model.fleet import Fleet
from pytest_dora.model.settings import Settings
from pytest_dora.report.assemble import assemble
from pytest_dora.report.show import plain
from pytest_dora.report.writers import write_report, write_started
from tests.unit.report.samples import app, failing, result, run

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which two apps were evaluated and a third was never generated."""
    monkeypatch.chdir(tmp_path)
    lost = app("lost", path=None, generation=Generation(success=False, error="out of turns"))
    fleet = Fleet(apps=(app("blog"), lost, app("::error::shop")))
    bad = result(
        "::error::shop", "build", "failed", reason="exit_code", message="boom\n::error::x",
        log="logs/shop/build.log",
        findings=[failing("build.install", "no lockfile").model_copy(
            update={"evidence": {"argv": ["npm", "ci"]}, "locations": ("package.json:3",)})],
    )  # fmt: skip
    results = [result("blog", "build"), bad]
    expected = [("blog", "build"), ("::error::shop", "build")]
    settings = Settings(gate="research", fail_under=90)
    write_started(run(), tmp_path / ".dora", fleet=fleet, expected=expected, settings=settings)
    made = assemble(fleet, expected, results, (), run(), settings)
    write_report(made, results, (), tmp_path / ".dora")
    return tmp_path


def test_show_prints_every_app_and_the_gate(evaluated: Path, capsys: Captured) -> None:
    assert main(["show"]) == 0
    out = capsys.readouterr().out
    assert "blog" in out
    assert "lost" in out
    assert "no folder" in out
    assert "gate research: not evaluated" in out
    assert not any(line.startswith("::") for line in out.splitlines())


@pytest.mark.parametrize(
    "given", [[".dora"], [".dora/report.json"], [".dora/report.json", "blog"], ["blog"],
              [".dora", "blog::build"], ["blog::build"]],
)  # fmt: skip
def test_show_understands_reports_apps_and_checks(
    evaluated: Path, capsys: Captured, given: list[str]
) -> None:
    assert main(["show", *given]) == 0
    assert "blog" in capsys.readouterr().out


def test_show_tells_findings_evidence_and_the_log(evaluated: Path, capsys: Captured) -> None:
    assert main(["show", "::error::shop::build"]) == 0
    out = capsys.readouterr().out
    assert "build: failed (exit_code)" in out
    assert "fail  build.install: no lockfile" in out
    assert "at package.json:3" in out
    assert 'argv: ["npm", "ci"]' in out
    assert f"log: {Path('.dora/runs/r1/logs/shop/build.log')}" in out
    assert not any(line.lstrip().startswith("::") for line in out.splitlines())


def test_show_says_why_nothing_was_generated(evaluated: Path, capsys: Captured) -> None:
    assert main(["show", "lost"]) == 0
    assert "nothing was evaluated: out of turns" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["show", "blogg"], "no app 'blogg' in the report of run r1; did you mean blog?"),
        (["show", "blog::lint"], "check 'lint' was not asked; asked were build"),
        (["show", "other.json"], "other.json: does not exist"),
        (["show", "a", "b", "c"], "show takes a report and one app"),
        (["merge", "nowhere"], "nowhere: does not exist"),
        (["merge"], "the following arguments are required"),
        ([], "the following arguments are required: COMMAND"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["run"], "run needs the folder of an app"),
        (["run", "-q"], "run needs the folder of an app"),
        (["shell", "nowhere"], "nowhere: no such folder"),
        (["shell", ".", "--at", "moon"], "no stage 'moon'; stages are installed"),
    ],
)
def test_a_usage_error_is_one_clear_line(
    evaluated: Path, capsys: Captured, given: list[str], message: str
) -> None:
    assert main(given) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("pytest-dora: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_show_without_a_report_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["show"]) == 4
    assert "run `pytest --dora PATH` first" in capsys.readouterr().err


def test_merge_rebuilds_the_report_and_tells_the_gate(evaluated: Path, capsys: Captured) -> None:
    (evaluated / ".dora" / "report.json").unlink()
    assert main(["merge", ".dora/runs/r1"]) == 1
    out = capsys.readouterr().out
    assert f"3 apps, 2 checks: {Path('.dora/report.json').resolve()}" in out
    assert "gate research: not evaluated" in out
    assert (evaluated / ".dora" / "report.json").exists()


def test_a_folder_that_cannot_be_written_is_our_fault(evaluated: Path, capsys: Captured) -> None:
    (evaluated / "file").write_text("")
    assert main(["merge", ".dora", "--output", "file/x"]) == 3
    assert "file" in capsys.readouterr().err


def test_shell_finds_an_app_of_the_last_run(evaluated: Path, capsys: Captured) -> None:
    write_fleet(Fleet(apps=(app("shop"),)), evaluated / ".dora" / "fleet.toml")
    assert main(["shell", "shop", "--at", "moon"]) == 4
    from pytest_dora.cli import _app_folder

    assert _app_folder("shop") == Path("/apps/shop")


def test_help_and_version_end_well(capsys: Captured) -> None:
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit) as ended:
            main([option])
        assert ended.value.code == 0
    assert main(["run", "--help"]) == 0
    assert "pytest-dora run PATH" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error(evaluated: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "pytest_dora.cli", "show"],
        stdout=write, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 0


def test_run_takes_no_configuration_and_no_code_from_the_current_folder(tmp_path: Path) -> None:
    trap = "open('sprung', 'w').close()\nraise SystemExit('sprung')\n"
    for name in ("conftest.py", "json.py", "pluggy.py", "sitecustomize.py"):
        (tmp_path / name).write_text(trap)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no_such_plugin\n")
    (tmp_path / "test_x.py").write_text(
        "import json, sys\ndef test_x(pytestconfig):\n"
        "    print(json.dumps([str(pytestconfig.inipath), str(pytestconfig.rootpath)]))\n"
    )
    # The checks themselves are not of interest: pytest is told to forget our plugin's switch.
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "switch.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--dora', action='store_true')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest_dora.cli", "run", "test_x.py", "-p", "no:dora",
         "-p", "switch", "-s", "-q"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "away")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("["))
    inipath, rootpath = json.loads(line.rstrip("."))
    assert Path(inipath).name == "run.ini"
    assert rootpath == str(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_text_of_apps_gives_a_runner_no_commands() -> None:
    assert not plain("::error::x").startswith("::")
    assert "##[" not in plain("a ##[error] b")
    assert plain("a\x1b[31m\nb\t c") == "a [31m b c"
    assert plain("shop::build") == "shop::build"

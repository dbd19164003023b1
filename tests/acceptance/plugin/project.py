"""A project of an evaluator on disk: apps whose folders say what the checks shall answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONFTEST = """
import json, os, signal, subprocess, sys, time

from pytest_dora.checks.registry import CheckSpec
from pytest_dora.model.result import CheckResult, Finding, FindingOutcome, Outcome


def ask(check, session):
    told = json.loads((session.path / "answers.json").read_text()).get(check, {})
    log = os.environ["DORA_TEST_LOG"]
    with open(log, "a") as file:
        file.write(f"{session.app.app_id} {check} {os.getpid()} {id(session)}\\n")
    tries = sum(
        line.startswith(f"{session.app.app_id} {check} ") for line in open(log).read().splitlines()
    )
    if "then" in told and tries > 1:
        told = told["then"]
    match told.get("do"):
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise RuntimeError("a check of ours is broken")
        case "exit":
            os._exit(3)
        case "wait":
            open(log + ".waiting", "a").write(f"{os.getpid()}\\n")
            time.sleep(60)
    values = {key: value for key, value in told.items() if key not in ("do", "then")}
    return CheckResult.model_validate(
        {"app_id": session.app.app_id, "check_id": check, "outcome": "passed", **values}
    )


def pytest_dora_checks(config):
    return [
        CheckSpec(name, lambda session, name=name: ask(name, session), f"the {name} check")
        for name in ("alpha", "beta", "gamma")
    ]
"""
FAKE = ("--dora-check", "alpha,beta,gamma")
_HEARING_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""A suite that runs in the background of a shell has Ctrl-C ignored, and would pass that on."""
PLUGINS = ("xdist", "pytest_dora.plugin")
MODES = {
    "serial": (),
    "two-workers": ("-n", "2"),
    "without-xdist": ("-p", "no:xdist"),
}


@dataclass
class Ran:
    """How a pytest run ended, and the report it wrote."""

    status: int
    text: str
    report: dict[str, Any]

    @property
    def outcomes(self) -> dict[str, dict[str, str]]:
        return {
            app["app_id"]: {check: one["outcome"] for check, one in app["checks"].items()}
            for app in self.report["apps"]
            if app["checks"]
        }

    def check(self, app: str, check: str) -> dict[str, Any]:
        (found,) = [one for one in self.report["apps"] if one["app_id"] == app]
        summary: dict[str, Any] = found["checks"][check]
        return summary


@dataclass
class Project:
    """The evaluator's folder, with apps beneath ``apps``."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "conftest.py").write_text(CONFTEST)
        (self.root / "pytest.ini").write_text("[pytest]\n")
        (self.root / "apps").mkdir()

    @property
    def log(self) -> Path:
        return self.root / "asked.log"

    @property
    def asked(self) -> list[tuple[str, str, str, str]]:
        """App, check, process and session of every question, in order."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines()
        return [(a, b, c, d) for a, b, c, d in (line.rsplit(" ", 3) for line in lines)]

    def app(self, name: str, /, **answers: Mapping[str, Any]) -> Path:
        folder = self.root / "apps" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text("<h1>hello</h1>")
        (folder / "answers.json").write_text(json.dumps(answers))
        return folder

    def environment(self) -> dict[str, str]:
        inherited = {
            # many small runs: none of them shall compile everything anew
            name: value
            for name, value in os.environ.items()
            if name != "PYTHONDONTWRITEBYTECODE"
        }
        return {
            **inherited,
            "DORA_TEST_LOG": str(self.log),
            # only what a run needs is loaded, and no sandbox is tried: it would be slow, and
            # these checks start nothing
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_DORA_SANDBOX": "none",
            **self.env,
        }

    def argv(self, *args: str) -> list[str]:
        loaded = [part for name in PLUGINS for part in ("-p", name)]
        return [sys.executable, "-m", "pytest", *loaded, "--dora", *args]

    def run(self, *args: str, cwd: Path | None = None) -> Ran:
        """``pytest --dora`` with these arguments."""
        done = subprocess.run(
            self.argv(*args), cwd=cwd or self.root, env=self.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, self.report())

    def report(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.root / ".dora/report.json").read_bytes())
        except FileNotFoundError:
            return {}
        return content

    @contextmanager
    def running(self, *args: str) -> Iterator[subprocess.Popen[str]]:
        """A run in a process group of its own, ended whatever the test does."""
        argv = self.argv(*args)
        process = subprocess.Popen(
            [argv[0], "-c", _HEARING_CTRL_C, *argv], cwd=self.root, env=self.environment(),
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.communicate()

    def waiting(self, count: int = 1) -> list[int]:
        """Processes whose check has begun to wait, once there are ``count`` of them."""
        path = Path(f"{self.log}.waiting")

        def pids() -> list[int]:
            return [int(line) for line in path.read_text().split()] if path.exists() else []

        eventually(lambda: len(pids()) >= count, 120)
        return pids()


def eventually(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


_VARYING = frozenset(
    {"run", "settings", "seconds", "cache_key", "details", "evaluation_cpu_seconds", "started_at",
     "consistency", "cost", "lead_time"}
)  # fmt: skip


def normalised(value: Any) -> Any:
    """A report without times and what else differs between two runs of the same apps."""
    if isinstance(value, dict):
        return {key: normalised(one) for key, one in value.items() if key not in _VARYING}
    if isinstance(value, list):
        return [normalised(one) for one in value]
    return value

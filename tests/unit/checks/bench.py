"""A stand-in for a session: the same questions, answered by plain processes in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from pytest_dora.model.app import App
from pytest_dora.model.base import utc_now
from pytest_dora.model.plan import Ecosystem, Manager, Package, Plan
from pytest_dora.model.result import Timing
from pytest_dora.model.settings import Limits, Settings
from pytest_dora.runtime.output import clean
from pytest_dora.runtime.sandbox.spec import Completed

if TYPE_CHECKING:
    from pytest_dora.runtime.session import AppSession

NODE_PACKAGE = Package(ecosystem=Ecosystem.NODE, manager=Manager.NPM, source="package.json")
PYTHON_PACKAGE = Package(ecosystem=Ecosystem.PYTHON, manager=Manager.UV, source="pyproject.toml")


class View:
    """Runs commands on this machine, in the tree itself, with an environment from nothing."""

    def __init__(self, root: Path, out: Path, path: Sequence[Path] = ()) -> None:
        self.root, self.out, self.workdir = root, out, str(root)
        self.uid = None
        self.timings: list[Timing] = []
        self.commands: list[tuple[str, ...]] = []
        self._path = path

    def toolchain_versions(self, _package: str = ".") -> dict[str, str]:
        done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
        return {"node": done.stdout.strip().removeprefix("v")} if done.returncode == 0 else {}

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        package: str = ".",
        timeout: float,
        name: str,
        log: str | None = None,
    ) -> Completed:
        self.commands.append(tuple(argv))
        started, clock = utc_now(), time.perf_counter()
        try:
            process = subprocess.Popen(
                list(argv),
                cwd=self.root / cwd,
                env=self._environment(cwd, env),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except FileNotFoundError:
            return Completed(
                tuple(argv), cwd, 127, None, 0.0, 0.0, output="No such file or directory"
            )
        timed_out = False
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
        seconds = time.perf_counter() - clock
        self.timings.append(Timing(name=name, started_at=started, seconds=seconds))
        status = process.returncode
        return Completed(
            tuple(argv),
            cwd,
            status if status >= 0 and not timed_out else None,
            -status if status < 0 else None,
            seconds,
            0.0,
            timed_out=timed_out,
            output=clean(output.decode("utf-8", "replace"))[-65536:],
        )

    def _environment(self, cwd: str, env: Mapping[str, str] | None) -> dict[str, str]:
        folders = [
            *(str(folder) for folder in self._path),
            str(self.root / cwd / "node_modules/.bin"),
            str(self.root / "node_modules/.bin"),
            os.path.dirname(sys.executable),
            "/usr/local/bin",
            "/usr/bin",
            "/bin",
        ]
        return {
            "PATH": ":".join(folders),
            "HOME": str(self.out),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **(env or {}),
        }


def make_session(
    root: Path,
    plan: Plan,
    *,
    path: Sequence[Path] = (),
    tests_seconds: float = 60,
    typecheck_seconds: float = 120,
    missing: Sequence[str] = (),
) -> AppSession:
    """A session of one app whose tree is already installed at ``root``."""
    view = View(root, root.parent / f"{root.name}-out", path)
    limits = Limits(tests_seconds=tests_seconds, typecheck_seconds=typecheck_seconds)
    lacking = SimpleNamespace(missing=[SimpleNamespace(value=name) for name in missing])
    session = SimpleNamespace(
        app=App(app_id=root.name, path=root),
        plan=plan,
        settings=Settings(limits=limits),
        view=view,
        tests_workspace=lambda: view,
        installed=lambda: view,
        services=lambda _stage: lacking,
        reset=lambda *stages: resets.extend(stages),
    )
    resets: list[object] = []
    session.resets = resets
    return cast("AppSession", session)


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Lay out a tree of text files."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root

"""The commands of two example apps as a person would type them, without any of us in between."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_dora.discovery import discover
from pytest_dora.runtime.engine import user_cache
from pytest_dora.runtime.toolchains import Toolchains
from tests.benchmarks.harness import ProgramFailed, ordinary_environment, run

_POLL_SECONDS = 0.02
_START_SECONDS = 60.0
_ENDS = {"typecheck": (0, 1, 2), "tests": (0, 1)}
"""How commands end that found something; an example may have errors, and takes as long."""
_BUILT_HERE = shutil.ignore_patterns("node_modules", ".venv", "dist", "__pycache__")


@dataclass(frozen=True)
class App:
    """The commands by their stage, each ending by itself, and the one that serves."""

    commands: Mapping[str, tuple[str, ...]]
    start: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


APPS = {
    "notes-fastapi": App(
        commands={
            "install": ("uv", "sync", "--frozen", "--no-install-project"),
            "typecheck": (".venv/bin/mypy",),
            "tests": (".venv/bin/python", "-m", "pytest"),
        },
        start=(".venv/bin/uvicorn", "main:app", "--host", "127.0.0.1", "--port", "{port}"),
        env={"NOTES_DB": "notes.db"},
    ),
    "todo-express": App(
        commands={
            "install": ("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline"),
            "build": ("npm", "run", "build"),
            "typecheck": ("npm", "run", "typecheck"),
            "tests": ("npm", "test"),
        },
        start=("npm", "start"),
    ),
}


def take_through(app: App, source: Path, place: Path, soak: float) -> dict[str, float]:
    """Seconds by stage, from a copied folder to the end of the soak. Raises ProgramFailed."""
    shutil.copytree(source, place, ignore=_BUILT_HERE)
    env = {**_environment(source), **app.env}
    seconds = {
        stage: run(command, cwd=place, env=env, accept=_ENDS.get(stage, (0,))).wall
        for stage, command in app.commands.items()
    }
    seconds["start and soak"] = _serve(app, place, env, soak)
    shutil.rmtree(place)
    return seconds


def _environment(source: Path) -> dict[str, str]:
    """The caller's, with the same tools in front of the PATH as an evaluation chooses."""
    resolve = Toolchains(user_cache()).resolve
    tools = [tool for package in discover(source).packages for tool in resolve(package, source)]
    folders = [*(str(folder) for tool in tools for folder in tool.bin_dirs), os.environ["PATH"]]
    env = ordinary_environment()
    for tool in tools:
        env.update(tool.env)
    return {**env, "PATH": ":".join(dict.fromkeys(folders))}


def _serve(app: App, place: Path, env: Mapping[str, str], soak: float) -> float:
    port = _free_port()
    argv = [word.format(port=port) for word in app.start]
    clock = time.perf_counter()
    with subprocess.Popen(
        argv, cwd=place, env={**env, "PORT": str(port)}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            _await_answer(server, port, clock + _START_SECONDS)
            try:
                server.wait(soak)
            except subprocess.TimeoutExpired:
                return time.perf_counter() - clock
            raise ProgramFailed(f"{' '.join(argv)} ended while it should have served")
        finally:
            # npm starts the server as a grandchild: the whole group goes
            os.killpg(server.pid, signal.SIGKILL)


def _await_answer(server: subprocess.Popen[bytes], port: int, until: float) -> None:
    while time.perf_counter() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                return
        except urllib.error.HTTPError as answer:
            if answer.code < 500:
                return
        except OSError:
            pass
        time.sleep(_POLL_SECONDS)
    raise ProgramFailed(f"no answer on port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""GitHub's own description of its API as a judge: Prism as a proxy that refuses violations."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

CACHE = Path.home() / ".cache" / "pytest-dora-tests"
_PACKAGES = ("@octokit/openapi@23.0.2", "@stoplight/prism-cli@5.14.2")
_REPOSITORY = "/repos/{owner}/{repo}/"
_PATHS = (
    "deployments",
    "deployments/{deployment_id}",
    "deployments/{deployment_id}/statuses",
    "actions/runs",
    "actions/runs/{run_id}",
    "actions/runs/{run_id}/attempts/{attempt_number}",
    "actions/runs/{run_id}/attempts/{attempt_number}/jobs",
    "compare/{basehead}",
    "commits/{commit_sha}/pulls",
)
_START_SECONDS = 60.0


def installed() -> Path:
    """``node_modules`` with the description and Prism, made once for all workers and runs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm is not installed")
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / "github-contract-23"
    with FileLock(f"{folder}.lock"):
        if not (folder / "node_modules").is_dir():
            _install(npm, folder)
    return folder / "node_modules"


def _install(npm: str, folder: Path) -> None:
    staging = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    (staging / "package.json").write_text('{"private": true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--silent", "--ignore-scripts"]
    done = subprocess.run(
        [*command, *_PACKAGES],
        cwd=staging,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(staging, ignore_errors=True)
        pytest.skip(f"npm could not install {_PACKAGES}: {done.stderr[-300:]}")
    for other in (staging / "node_modules/@octokit/openapi/generated").iterdir():
        if other.name != "api.github.com.json":
            other.unlink()  # other editions of GitHub, 400 MB
    staging.rename(folder)


def description(node_modules: Path) -> dict[str, Any]:
    """GitHub's description of the paths that are asked for, and what they refer to.

    It differs from the original in two points, in which GitHub's documentation and servers differ
    from it too: answers also come as ``application/vnd.github+json``, and ``created`` of the list
    of runs is a range of dates, not one date.
    """
    source = node_modules / "@octokit/openapi/generated/api.github.com.json"
    whole = json.loads(source.read_text(encoding="utf-8"))
    paths = {
        _REPOSITORY + path: {"get": whole["paths"][_REPOSITORY + path]["get"]} for path in _PATHS
    }
    sliced: dict[str, Any] = {"openapi": whole["openapi"], "info": whole["info"], "paths": paths}
    sliced["components"] = _referred(whole, paths)
    created = sliced["components"]["parameters"]["created"]["schema"]
    assert created.pop("format") == "date-time"
    for operation in paths.values():
        for response in operation["get"]["responses"].values():
            content = response.get("content", {})
            if "application/json" in content:
                content["application/vnd.github+json"] = content["application/json"]
    return sliced


def _referred(whole: dict[str, Any], part: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            reference = one.get("$ref")
            if isinstance(reference, str):
                _, _, kind, name = reference.split("/")
                if name not in found.setdefault(kind, {}):
                    found[kind][name] = whole["components"][kind][name]
                    waiting.append(found[kind][name])
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


@contextmanager
def proxy(folder: Path, upstream: str) -> Iterator[str]:
    """The address of a proxy that answers 4xx or 5xx where request or answer violate GitHub's
    description."""
    node_modules = installed()
    spec = folder / "github.json"
    spec.write_text(json.dumps(description(node_modules)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["node", node_modules / ".bin/prism", "proxy", "--errors", "-h", "127.0.0.1"]
    log = folder / "prism.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-p", str(port), str(spec), upstream],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_listening(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)  # between two looks, not to wait for a result
        else:
            return
    raise AssertionError(f"Prism does not listen: {log.read_text()[-2000:]}")

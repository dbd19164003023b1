"""Real tools for the tests of checks, installed once into the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

CACHE = Path.home() / ".cache" / "pytest-dora-tests"


@pytest.fixture(scope="session")
def npm_tool() -> Callable[..., Path]:
    """A function that installs npm packages once and gives their ``node_modules``."""

    def install(name: str, *packages: str) -> Path:
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed")
        CACHE.mkdir(parents=True, exist_ok=True)
        folder = CACHE / name
        with FileLock(f"{folder}.lock"):
            if not (folder / "node_modules").is_dir():
                _install(npm, folder, packages)
        return folder / "node_modules"

    return install


def _install(npm: str, folder: Path, packages: tuple[str, ...]) -> None:
    staging = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    (staging / "package.json").write_text('{"private": true}')
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--silent", *packages],
        cwd=staging,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(staging, ignore_errors=True)
        pytest.skip(f"npm could not install {packages}: {done.stderr[-300:]}")
    staging.rename(folder)


@pytest.fixture(scope="session")
def vitest(npm_tool: Callable[..., Path]) -> Path:
    return npm_tool("vitest-3.2.4", "vitest@3.2.4", "@vitest/coverage-v8@3.2.4")


@pytest.fixture(scope="session")
def jest(npm_tool: Callable[..., Path]) -> Path:
    return npm_tool("jest-29.7.0", "jest@29.7.0")


@pytest.fixture(scope="session")
def mocha(npm_tool: Callable[..., Path]) -> Path:
    return npm_tool("mocha-11", "mocha@11", "c8@10")


@pytest.fixture(scope="session")
def bun(npm_tool: Callable[..., Path]) -> Path:
    return npm_tool("bun-1.3", "bun@1.3")


@pytest.fixture(scope="session")
def typescript(npm_tool: Callable[..., Path]) -> Path:
    return npm_tool("typescript-5.8.3", "typescript@5.8.3")


@pytest.fixture(scope="session")
def pyright(npm_tool: Callable[..., Path]) -> Path:
    return npm_tool("pyright-1", "pyright@1")


@pytest.fixture(scope="session")
def django() -> Path:
    """The programs of an environment with Django and nothing else."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / f"django-5-py{sys.version_info[0]}{sys.version_info[1]}"
    with FileLock(f"{folder}.lock"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
            done = subprocess.run(
                [folder / "bin/python", "-m", "pip", "install", "--quiet", "django>=5,<6"],
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
            if done.returncode != 0:
                pytest.skip(f"pip could not install Django: {done.stderr[-300:]}")
            (folder / "ready").touch()
    return folder / "bin"

"""Poetry, for projects that are described for it: fetched into the cache by uv."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from pytest_dora.runtime.host import Host, Toolchain, ToolMissing, dedupe
from pytest_dora.runtime.interpreters import Interpreter, choose
from pytest_dora.runtime.provision import staging_folder
from pytest_dora.runtime.versions import is_exact, parse

_SECONDS = 300.0
_EXPORT = "poetry-plugin-export"
"""Without it nothing but Poetry itself can install from poetry.lock."""


def find_poetry(host: Host, uv: Toolchain, interpreters: Sequence[Interpreter]) -> Toolchain:
    """Poetry with its export plugin: uv reads neither ``poetry.lock`` nor ``tool.poetry``, but
    what these are exported to.

    The export needs no network. It may load plugins that the app names, so it is no step to be
    trusted with a cache. Raises ToolMissing.
    """
    folder = _cached(host) or _fetch(host, uv, interpreters)
    version = folder.name.removeprefix("poetry-")
    base = Path(_configuration(folder / "venv").get("home", "/usr/bin")).resolve()
    mounts = dedupe((folder, *host.mounts_for(base / "python3")))
    return Toolchain(
        name="poetry",
        version=version,
        bin_dirs=(folder / "bin",),
        mounts=mounts,
        source="Python package index",
        executable=folder / "bin" / "poetry",
        env=(("POETRY_VIRTUALENVS_IN_PROJECT", "true"), ("POETRY_NO_INTERACTION", "1")),
    )


def _cached(host: Host) -> Path | None:
    found = [
        (parse(path.name), path)
        for path in (host.cache / "tools").glob("poetry-*")
        if is_exact(path.name.removeprefix("poetry-"))
    ]
    return max(found, key=lambda one: one[0] or (0, 0, 0))[1] if found else None


def _fetch(host: Host, uv: Toolchain, interpreters: Sequence[Interpreter]) -> Path:
    python = choose(interpreters, ">=3.10")
    if python is None:
        raise ToolMissing("poetry", "Poetry needs Python 3.10 or newer", "uv python install 3.12")
    tools = host.cache / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    with FileLock(tools / ".poetry.lock", timeout=_SECONDS * 2):
        found = _cached(host)
        if found is not None:
            return found
        with staging_folder(tools) as staging:
            # relocatable: its scripts find their interpreter after the folder is renamed
            _uv(host, uv, staging, "venv", "--relocatable", "--python", str(python.executable),
                str(staging / "venv"))  # fmt: skip
            _uv(host, uv, staging, "pip", "install", "--python", str(staging / "venv/bin/python"),
                "--only-binary", ":all:", "--link-mode", "copy", "poetry", _EXPORT)  # fmt: skip
            (staging / "bin").mkdir(mode=0o755)
            (staging / "bin" / "poetry").symlink_to("../venv/bin/poetry")
            final = tools / f"poetry-{_installed_version(staging / 'venv')}"
            shutil.rmtree(final, ignore_errors=True)
            staging.rename(final)
            return final


def _uv(host: Host, uv: Toolchain, staging: Path, *arguments: str) -> None:
    ran = host.run([str(uv.executable), *arguments], cwd=staging, timeout=_SECONDS)
    if ran.status != 0:
        said = next((x for x in reversed(ran.stderr.splitlines()) if x.strip()), "uv said nothing")
        raise ToolMissing(
            "poetry",
            f"Poetry is not here and could not be fetched ({said.strip()[:200]})",
            "make the Python package index reachable for uv",
        )


def _installed_version(venv: Path) -> str:
    for folder in venv.glob("lib/python3*/site-packages/poetry-*.dist-info"):
        version = folder.name.removeprefix("poetry-").removesuffix(".dist-info")
        if is_exact(version):
            return version
    raise ToolMissing("poetry", "Poetry was fetched without a version", "report this")


def _configuration(venv: Path) -> dict[str, str]:
    """``pyvenv.cfg``: its ``home`` is the folder of the interpreter beneath."""
    lines = (venv / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}

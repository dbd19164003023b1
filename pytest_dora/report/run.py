"""Facts about a run that hold for all of its apps."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import metadata

from pytest_dora import __version__
from pytest_dora.model.base import utc_now
from pytest_dora.model.report import RunInfo, SandboxInfo, Tool
from pytest_dora.report.text import masked

_LIBRARIES = ("pytest", "pytest-xdist", "pydantic")


def new_run_id(now: datetime | None = None) -> str:
    """An id that sorts by time and is safe as a folder's name: ``20260131T120000Z-1f2e3d``."""
    return f"{now or utc_now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def run_info(
    run_id: str,
    *,
    arguments: Sequence[str] = (),
    workers: int | None = None,
    cores: float | None = None,
    sandbox: Mapping[str, object] | None = None,
    shard: tuple[int, int] | None = None,
    checks_known: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> RunInfo:
    """A run that begins now on this machine. ``sandbox`` has ``tier`` and ``self_test``."""
    return RunInfo(
        id=run_id,
        started_at=utc_now(),
        tool=Tool(version=__version__),
        python=platform.python_version(),
        platform=platform.platform(),
        cpus=os.cpu_count(),
        cores=cores,
        workers=workers,
        sandbox=SandboxInfo.model_validate(dict(sandbox or {})),
        versions={name: _version(name) for name in _LIBRARIES},
        arguments=tuple(masked(argument) for argument in arguments),
        shard=shard,
        checks_known=tuple(checks_known),
        notes=tuple(notes),
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"

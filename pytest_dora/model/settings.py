"""The evaluator's settings of one run: resolved once, sent to every worker as JSON."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field

from pytest_dora.model.base import Model


class Profile(StrEnum):
    SMOKE = "smoke"
    STANDARD = "standard"
    FULL = "full"


class Level(StrEnum):
    """How far towards production an app may go; each includes the ones before it."""

    RESEARCH = "research"
    PREVIEW = "preview"
    PRODUCTION_CANDIDATE = "production_candidate"


class SandboxMode(StrEnum):
    AUTO = "auto"
    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    NONE = "none"


class Keep(StrEnum):
    NEVER = "never"
    FAILED = "failed"
    ALL = "all"


class Limits(Model):
    """Bounds on what one sandbox may use. Seconds and bytes."""

    install_seconds: float = 900
    build_seconds: float = 600
    typecheck_seconds: float = 300
    tests_seconds: float = 600
    prepare_seconds: float = 120
    start_seconds: float = 60
    soak_seconds: float = 5
    memory_bytes: int = 4 * 2**30
    processes: int = 512
    file_bytes: int = 2 * 2**30
    log_bytes: int = 4 * 2**20
    workspace_bytes: int = 8 * 2**30


class Settings(Model):
    """Everything a worker needs to know; see docs/reference/options.md."""

    profile: Profile = Profile.STANDARD
    apps: tuple[str, ...] = ()
    """Exact ids or shell patterns of the apps selected; empty is all."""
    checks: tuple[str, ...] = ()
    gate: Level | None = None
    fail_under: float | None = Field(None, ge=0, le=100)
    strict: bool = False
    keep: Keep = Keep.NEVER
    sandbox: SandboxMode = SandboxMode.AUTO
    pass_env: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    postgres_url: str | None = None
    work: Path | None = None
    output: Path = Path(".dora")
    shard: tuple[int, int] | None = None
    store: str | None = None
    """A store of delivery events: this run is recorded there, and what it says is in the report."""
    window_days: float = Field(30, gt=0, le=3660)
    incidents_watched: bool = False
    benchmark: Literal["2023", "2024", "2025"] = "2024"
    limits: Limits = Limits()

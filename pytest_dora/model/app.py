"""What the evaluator says of an app (trusted) and what an app says of itself (untrusted)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from pytest_dora.model.base import Model


class Origin(StrEnum):
    """Who wrote the app; decides the bar of scored checks and the cohort."""

    AI = "ai"
    HUMAN = "human"


class Generation(Model):
    """How an app was generated. Durations in seconds, cost in US dollars, times in UTC."""

    prompt: str | None = None
    success: bool | None = None
    error: str | None = None
    backend: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    seconds: float | None = Field(None, ge=0)
    cost_usd: float | None = Field(None, ge=0)
    input_tokens: int | None = Field(None, ge=0)
    output_tokens: int | None = Field(None, ge=0)
    turns: int | None = Field(None, ge=0)
    validation_runs: int | None = Field(None, ge=0)
    attempts: int | None = Field(None, ge=1)
    """How many times the app was generated; None when only this once is known."""
    attempts_cost_usd: float | None = Field(None, ge=0)
    """Cost of all attempts, failed and replaced ones too; None when no cost is known."""
    claimed: bool = False
    """True when the numbers come from inside the app: published, never counted."""
    source: str | None = None
    """The file (and place in it) that the numbers were read from."""


class Waiver(Model):
    """A failure the evaluator accepts until a day, with a reason."""

    check: str
    reason: str
    expires: date


class ServiceNames(Model):
    """Names under which an app is known to outside services."""

    github: str | None = None
    fly: str | None = None
    databricks: str | None = None

    def named(self) -> dict[str, str]:
        """``github:owner/repo`` and the like, as events name a service."""
        return {kind: f"{kind}:{name}" for kind, name in self.model_dump().items() if name}


class App(Model):
    """One folder under evaluation, with what the evaluator knows of it.

    ``app_id`` is the identity: the path under its root, NFC, with ``/`` as separator.
    ``path`` is None for a generation that failed and left no folder.
    """

    app_id: str
    path: Path | None
    origin: Origin = Origin.AI
    generator: str | None = None
    model: str | None = None
    prompt_id: str | None = None
    attempt: int | None = None
    expects: tuple[str, ...] = ()
    previous_version: str | None = None
    services: ServiceNames = ServiceNames()
    waivers: tuple[Waiver, ...] = ()
    generation: Generation | None = None

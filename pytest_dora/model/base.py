"""The one base class of every model, so that all of them are frozen and refuse unknown keys."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen value; unknown keys are an error, so a typing mistake in a file is seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def utc_now() -> datetime:
    """The current time, always with UTC as its zone."""
    return datetime.now(UTC)

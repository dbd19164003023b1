"""Where a collection goes on: what the cursor of this collector holds."""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationError

from pytest_dora.delivery.collectors.base import CollectError, Cursor
from pytest_dora.model.base import Model
from pytest_dora.model.events import Utc


class Served(Model):
    """A deployment that served: when, its key, where, and the commit."""

    finished_at: Utc
    key: str
    environment: str | None
    sha: str


class TimelineState(Model):
    """``pending``: served, but one that served before may not have been read yet.
    ``served``: the last ones by environment, whose changes have been told."""

    pending: tuple[Served, ...] = ()
    served: dict[str, tuple[Served, ...]] = {}


class DeploymentsState(Model):
    through: int = 0
    """Every deployment up to this id has been read once."""
    updated: Utc | None = None
    """Changes up to here were seen by the last collection that ended."""
    updating: Utc | None = None
    """The same of the collection that has not ended."""
    open: tuple[int, ...] = ()
    """Deployments that had not ended."""
    timeline: TimelineState = TimelineState()


class RunsState(Model):
    collected: Utc | None = None
    """When the last collection began that ended."""
    began: Utc | None = None
    """When the one began that has not ended."""
    through: Utc | None = None
    """How far that one came: every run that was created before has been read."""
    open: tuple[int, ...] = ()
    timeline: TimelineState = TimelineState()


class State(Model):
    version: Literal[1] = 1
    deployments: DeploymentsState = DeploymentsState()
    runs: RunsState = RunsState()

    def cursor(self) -> Cursor:
        cursor: Cursor = self.model_dump(mode="json")
        return cursor

    @classmethod
    def of(cls, cursor: Cursor | None) -> State:
        """Raises CollectError for a cursor that another collector or version wrote."""
        try:
            return cls() if cursor is None else cls.model_validate(dict(cursor))
        except ValidationError:
            raise CollectError(
                "github: where the last collection ended cannot be read: collect without its "
                "cursor, nothing is counted twice"
            ) from None

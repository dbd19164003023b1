"""What every collector is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from pydantic import JsonValue

from pytest_dora.model.events import Event

Cursor = Mapping[str, JsonValue]
"""Where to go on: small, and of a meaning that only its collector knows."""


class CollectError(Exception):
    """A service cannot be read; the message says which, why, and what mends it. No secrets."""


@dataclass(frozen=True)
class Scope:
    """One thing to be read: ``name`` is ``owner/repo``, an app of a platform, a server's URL."""

    name: str
    app_id: str | None = None
    """The app that everything of this scope belongs to, where one scope is one app."""
    environment: str | None = None
    """For services that know no environments."""
    options: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Some events, and where to go on after them."""

    events: tuple[Event, ...]
    cursor: Cursor
    data_through: datetime | None = None
    """Up to when everything is known (UTC), once this batch is stored; None: no further than
    before."""
    notes: tuple[str, ...] = ()
    """What could not be read and why, each a sentence for the user. No secrets."""


class Collector(Protocol):
    """Reads one service. ``name`` is also the source of its events.

    Third parties name a callable without arguments that gives one in the entry-point group
    ``pytest_dora.collectors``.
    """

    name: str

    def collect(self, scope: Scope, cursor: Cursor | None, now: datetime) -> Iterator[Batch]:
        """Batches from where ``cursor`` says (None: from the beginning) to ``now``.

        Reading what was read before must give equal events. Raises CollectError; what was yielded
        before stays good.
        """

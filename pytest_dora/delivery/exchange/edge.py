"""What every format shares: documents that cannot be used, and names that make keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_dora.model.events import Event

Payload = Mapping[str, Any]
"""One JSON object, as it was read."""
_MOST_ERRORS = 3
_PLAIN = "/:?#[]@!$&'()*+,;=<>{}|^`\"\\"
"""Stays as it is in a key; blanks, control characters and ``%`` do not."""


class Unusable(ValueError):
    """A document is no event; the message says why, and what mends it where something does."""


@dataclass(frozen=True)
class Refused:
    """Something that is no event: where it stands (``file:line``), and why."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Reader(Protocol):
    """Reads the documents of one file, in their order."""

    def read(self, payload: Payload, place: str, observed_at: datetime) -> tuple[Event, ...]:
        """The events of one document. Raises Unusable or ValidationError."""

    def left(self) -> tuple[Refused, ...]:
        """What waited for another document that never came."""


@dataclass(frozen=True)
class Single:
    """A reader of a format in which every document stands for itself."""

    events: Callable[[Payload, datetime], tuple[Event, ...]]

    def read(self, payload: Payload, place: str, observed_at: datetime) -> tuple[Event, ...]:
        del place
        return self.events(payload, observed_at)

    def left(self) -> tuple[Refused, ...]:
        return ()


class Foreign(BaseModel):
    """What another tool writes: it may add keys, and we read those that we know."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


def key_part(name: str) -> str:
    """A foreign name as one part of a key: without blanks, so that a blank can end it."""
    return quote(name, safe=_PLAIN)


def service_of_repository(url: str | None) -> str | None:
    """``github:owner/repo`` for an address at github.com; None for any other."""
    if url is None:
        return None
    if url.startswith("git@github.com:"):
        path = url.removeprefix("git@github.com:")
    else:
        parts = urlsplit(url)
        if parts.hostname not in ("github.com", "www.github.com"):
            return None
        path = parts.path
    names = path.strip("/").removesuffix(".git").split("/")
    return f"github:{names[0]}/{names[1]}" if len(names) == 2 and all(names) else None


def reason_of(error: ValidationError) -> str:
    """The first errors of a model, on one line: ``finished_at: a time needs a zone …``."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    said = [_said(one) for one in errors[:_MOST_ERRORS]]
    more = len(errors) - len(said)
    return "; ".join(said) + (f"; and {more} more" if more else "")


def _said(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message

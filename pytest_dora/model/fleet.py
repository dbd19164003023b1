"""The set of apps of one run, and what a worker finds out about each."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, JsonValue

from pytest_dora.model.app import App, Generation
from pytest_dora.model.base import Model
from pytest_dora.model.plan import Plan


class Collected(Model):
    """What the evaluator wants to be read of a service besides what apps are named there."""

    collector: str
    scope: str = Field(min_length=1)
    """What the collector reads: ``owner/repo``, an app's name there, a server's address."""
    app: str | None = None
    environment: str | None = None
    options: dict[str, JsonValue] = {}


class Fleet(Model):
    """Every app of a run, sorted by ``app_id``; apps without a folder are failed generations."""

    apps: tuple[App, ...] = ()
    source: Path | None = None
    """The evaluator's fleet file; None when the fleet was found in folders."""
    roots: tuple[Path, ...] = ()
    environments: dict[str, str] = {}
    """Tier of environments whose names do not tell it: ``{"github-pages": "production"}``."""
    collect: tuple[Collected, ...] = ()
    notes: tuple[str, ...] = ()
    """What was left out and why (``hidden folder .cache ignored``)."""


class AppFacts(Model):
    """What was read from one app's folder, by the worker that evaluates it."""

    app_id: str
    stack: tuple[str, ...] = ()
    fingerprint: str | None = None
    """Hash of the tree: names and contents of every regular file that is copied."""
    loc: int | None = Field(None, ge=0)
    """Lines of source code (not files), dependencies and lockfiles left out."""
    files: int | None = Field(None, ge=0)
    plan: Plan | None = None
    claimed: Generation | None = None
    """``generation_metrics.json`` inside the app: published as a claim, never counted."""
    toolchains: dict[str, str] = {}
    """Versions of what ran the app: ``{"node": "20.20.2", "bun": "1.4.5"}``."""

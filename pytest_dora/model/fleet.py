"""The set of apps of one run, and what a worker finds out about each."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pytest_dora.model.app import App, Generation
from pytest_dora.model.base import Model
from pytest_dora.model.plan import Plan


class Fleet(Model):
    """Every app of a run, sorted by ``app_id``; apps without a folder are failed generations."""

    apps: tuple[App, ...] = ()
    source: Path | None = None
    """The evaluator's fleet file; None when the fleet was found in folders."""
    roots: tuple[Path, ...] = ()
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

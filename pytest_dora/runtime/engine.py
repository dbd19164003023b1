"""What the sessions of one worker share: tokens, the way out, toolchains, a database server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import platformdirs

from pytest_dora.model.settings import SandboxMode, Settings
from pytest_dora.runtime import environment
from pytest_dora.runtime.egress import Egress
from pytest_dora.runtime.sandbox.box import FETCH_UID
from pytest_dora.runtime.sandbox.spec import Tier
from pytest_dora.runtime.services.postgres import PostgresServer
from pytest_dora.runtime.tokens import Tokens
from pytest_dora.runtime.toolchains import Toolchains
from pytest_dora.runtime.workspace import give_to, remove


def user_cache() -> Path:
    """Our folder in the user's cache."""
    return Path(platformdirs.user_cache_dir("pytest-dora"))


@dataclass
class Engine:
    """Opened once per worker and run folder; everything in it is made when first needed."""

    settings: Settings
    run_dir: Path
    tier: Tier
    _opened: list[str] = field(default_factory=list)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.run_dir / "tokens", os.cpu_count() or 1)

    @cached_property
    def cache(self) -> Path:
        """Downloads of package managers: written by fetch steps only."""
        folder = user_cache() / "downloads"
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0 and folder.stat().st_uid != FETCH_UID:
            give_to(folder, FETCH_UID)
        return folder

    @cached_property
    def work(self) -> Path:
        """Where workspaces live: never inside an app, never in the run's folder."""
        base = self.settings.work or user_cache() / "work"
        folder = base / f"{self.run_dir.name}-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        self._opened.append("work")
        return folder

    @cached_property
    def egress(self) -> Egress:
        self._opened.append("egress")
        return Egress(self.settings.allow_hosts, environment.registry_hosts())

    @cached_property
    def toolchains(self) -> Toolchains:
        return Toolchains(user_cache())

    @cached_property
    def postgres(self) -> PostgresServer:
        self._opened.append("postgres")
        return PostgresServer(
            cache=user_cache(), run_dir=self.work, url=self.settings.postgres_url, tier=self.tier
        )

    def log_folder(self, app_id: str) -> Path:
        folder = self.run_dir / "logs" / safe_name(app_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        """End the shared services and remove the workspaces; idempotent."""
        for name in reversed(self._opened):
            match name:
                case "postgres":
                    self.postgres.close()
                case "egress":
                    self.egress.close()
                case "work" if self.settings.keep.value == "never":
                    remove(self.work)
                case "work":
                    if not any(self.work.iterdir()):
                        remove(self.work)
        self._opened.clear()


def safe_name(app_id: str) -> str:
    """An app id as one folder name: percent-encoded, no longer than a file system allows."""
    name = quote(app_id, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    return name if len(name) <= 180 else f"{name[:150]}-{hash_text(name)[:16]}"


def hash_text(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def mode_to_tier(mode: SandboxMode) -> Tier | None:
    """The tier that a typed mode means; None for ``auto``."""
    return None if mode is SandboxMode.AUTO else Tier(mode.value)

"""What the sessions of one worker share: tokens, the way out, toolchains, a database server."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import platformdirs
import psutil

from pytest_dora.model.settings import SandboxMode, Settings
from pytest_dora.runtime import environment
from pytest_dora.runtime.egress import Egress
from pytest_dora.runtime.sandbox.box import FETCH_UID
from pytest_dora.runtime.sandbox.spec import Tier
from pytest_dora.runtime.services.postgres import PostgresServer
from pytest_dora.runtime.tokens import Tokens
from pytest_dora.runtime.toolchains import Toolchains
from pytest_dora.runtime.workspace import give_to, remove

_KEPT = ".kept-on-request"


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
    _discarding: list[threading.Thread] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.run_dir / "tokens", os.cpu_count() or 1)

    @cached_property
    def cache(self) -> Path:
        """Downloads of package managers: written by fetch steps only."""
        other_user = os.geteuid() == 0 and self.tier is Tier.BUBBLEWRAP
        # a root without its capabilities could not write what the other user owns
        folder = user_cache() / ("downloads" if other_user else "downloads-own")
        folder.mkdir(parents=True, exist_ok=True)
        if other_user and folder.stat().st_uid != FETCH_UID:
            give_to(folder, FETCH_UID)
        return folder

    @cached_property
    def work(self) -> Path:
        """Where workspaces live: never inside an app, never in the run's folder."""
        base = self.settings.work or user_cache() / "work"
        folder = base / f"{self.run_dir.name}-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        self._opened.append("work")
        if self.settings.keep.value != "never":
            (folder / _KEPT).touch()
        for stale in abandoned(base):
            self._remove_later(stale)
        return folder

    @cached_property
    def egress(self) -> Egress:
        self._opened.append("egress")
        return Egress(self.settings.allow_hosts, environment.registry_hosts())

    @cached_property
    def background(self) -> ThreadPoolExecutor:
        """Work of ours beside an app's commands, such as copies that are needed later."""
        self._opened.append("background")
        return ThreadPoolExecutor(1, "dora-background")

    @cached_property
    def toolchains(self) -> Toolchains:
        return Toolchains(user_cache())

    @cached_property
    def postgres(self) -> PostgresServer:
        self._opened.append("postgres")
        return PostgresServer(
            cache=user_cache(), run_dir=self.work, url=self.settings.postgres_url, tier=self.tier
        )

    def discard(self, path: Path) -> None:
        """Remove a tree without waiting for it: a hundred thousand files take a disk seconds,
        and nobody needs to wait for them but the end of the run."""
        if not path.exists():
            return
        trash = self.work / ".trash"
        trash.mkdir(exist_ok=True)
        target = trash / str(next(self._numbers))
        path.rename(target)
        self._remove_later(target)

    def _remove_later(self, path: Path) -> None:
        done = threading.Thread(target=remove, args=(path,), name="dora-discard")
        done.start()
        self._discarding.append(done)

    def log_folder(self, app_id: str) -> Path:
        folder = self.run_dir / "logs" / safe_name(app_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        """End the shared services and remove the workspaces; idempotent."""
        for thread in self._discarding:
            thread.join()
        self._discarding.clear()
        for name in reversed(self._opened):
            match name:
                case "background":
                    self.background.shutdown()
                case "postgres":
                    self.postgres.close()
                case "egress":
                    self.egress.close()
                case "work" if self.settings.keep.value == "never":
                    remove(self.work)
                case "work":
                    remove(self.work / ".trash")
                    if not any(self.work.iterdir()):
                        remove(self.work)
        self._opened.clear()


def abandoned(base: Path) -> list[Path]:
    """Workspaces of workers that were killed before they could clean up."""
    found = []
    for folder in base.iterdir():
        pid = folder.name.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)) and not (folder / _KEPT).exists():
            found.append(folder)
    return found


def safe_name(app_id: str) -> str:
    """An app id as one folder name: percent-encoded, no longer than a file system allows."""
    name = quote(app_id, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    return name if len(name) <= 180 else f"{name[:150]}-{hash_text(name)[:16]}"


def hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def mode_to_tier(mode: SandboxMode) -> Tier | None:
    """The tier that a typed mode means; None for ``auto``."""
    return None if mode is SandboxMode.AUTO else Tier(mode.value)

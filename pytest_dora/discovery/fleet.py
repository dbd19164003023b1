"""From what the evaluator typed to the apps of a run: folders, fleet files, or both."""

from __future__ import annotations

import os
import stat
import unicodedata
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_dora.discovery.errors import FleetError, fleet_error, printable
from pytest_dora.discovery.fleet_file import load_fleet, write_fleet
from pytest_dora.model.app import App
from pytest_dora.model.fleet import Fleet

__all__ = ["FleetError", "find_fleet", "is_app", "load_fleet", "write_fleet"]

MANIFESTS = frozenset(
    {
        "app.yaml",
        "app.yml",
        "build.gradle",
        "build.gradle.kts",
        "bun.lock",
        "Cargo.toml",
        "compose.yaml",
        "compose.yml",
        "composer.json",
        "Containerfile",
        "databricks.yml",
        "deno.json",
        "deno.jsonc",
        "docker-compose.yaml",
        "docker-compose.yml",
        "Dockerfile",
        "dora.toml",
        "fly.toml",
        "Gemfile",
        "go.mod",
        "index.html",
        "index.php",
        "manage.py",
        "mix.exs",
        "package.json",
        "Pipfile",
        "pom.xml",
        "Procfile",
        "pyproject.toml",
        "requirements.txt",
        "setup.cfg",
        "setup.py",
    }
)
"""A folder that holds one of these files is one app."""


def find_fleet(paths: Sequence[Path]) -> Fleet:
    """The apps that the given folders and fleet files name, sorted by id.

    A folder is one app if it has a manifest or a ``backend/`` and ``frontend/`` pair; else each
    of its direct, non-hidden sub-folders is one. Nothing inside an app is read. Raises
    FleetError for a path that does not exist, is neither folder nor fleet file, or cannot be
    read, and for two apps with one id. A folder without apps gives none.
    """
    folders = _distinct([path for path in paths if not _is_file(path)])
    files = _distinct([path for path in paths if _is_file(path)])
    finding = _Finding(prefixed=len(folders) > 1)
    for path in files:
        loaded = load_fleet(path)
        finding.notes.extend(loaded.notes)
        finding.roots.extend(loaded.roots)
        for app in loaded.apps:
            finding.add(app, str(path))
    for path in folders:
        finding.look_into(path)
    return Fleet(
        apps=tuple(sorted(finding.apps.values(), key=lambda app: app.app_id)),
        source=Path(os.path.abspath(files[0])) if len(files) == 1 and not folders else None,
        roots=tuple(dict.fromkeys(finding.roots)),
        notes=tuple(dict.fromkeys(finding.notes)),
    )


def is_app(folder: Path) -> bool:
    """Whether the folder itself is one app. Raises OSError when it cannot be listed."""
    files: set[str] = set()
    folders: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            # Not entry.is_dir(): that raises where a link loops.
            (folders if os.path.isdir(entry.path) else files).add(entry.name)
    return bool(MANIFESTS & files) or {"backend", "frontend"} <= folders


def app_id_of(name: str) -> str:
    """A name as part of an identity: NFC, with undecodable bytes percent-encoded."""
    safe = "".join(
        urllib.parse.quote(os.fsencode(char)) if "\ud800" <= char <= "\udfff" else char
        for char in name
    )
    return unicodedata.normalize("NFC", safe)


@dataclass
class _Finding:
    """What was found so far, and where, so that every refusal can name both places."""

    prefixed: bool
    apps: dict[str, App] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    folders: dict[Path, str] = field(default_factory=dict)
    roots: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, app: App, place: str) -> None:
        """Take an app in. Raises FleetError when its id is taken by another folder."""
        resolved = app.path.resolve() if app.path is not None else None
        if resolved in self.folders and app.app_id != self.folders[resolved]:
            self.notes.append(
                f"{printable(place)}: the same folder as app {self.folders[resolved]!r}; "
                "evaluated once"
            )
            return
        if app.app_id in self.apps:
            raise FleetError(
                f"{printable(place)}: the app id {app.app_id!r} is taken by "
                f"{printable(self.places[app.app_id])}; rename one, or give both an id in a "
                "fleet file"
            )
        self.apps[app.app_id] = app
        self.places[app.app_id] = place
        if resolved is not None:
            self.folders[resolved] = app.app_id

    def look_into(self, given: Path) -> None:
        """Take in one folder that the evaluator typed: as one app, or as a folder of apps."""
        root = given.resolve()
        name = app_id_of(Path(os.path.abspath(given)).name or "root")
        try:
            single = is_app(root)
            names = sorted(os.listdir(root), key=os.fsencode)
        except OSError as error:
            raise fleet_error(given, None, _why(error)) from error
        if single:
            self.roots.append(root)
            self.add(App(app_id=name, path=root), str(given))
            return
        self.roots.append(root)
        for entry in names:
            if self._usable(root, entry):
                app_id = app_id_of(entry)
                app_id = f"{name}/{app_id}" if self.prefixed else app_id
                self.add(App(app_id=app_id, path=(root / entry).resolve()), str(given / entry))

    def _usable(self, root: Path, name: str) -> bool:
        """Whether a direct entry of a root is an app's folder; what is left out is noted."""
        path = root / name
        shown = printable(path)
        if not path.is_dir():
            return False
        if name.startswith("."):
            self.notes.append(f"hidden folder {shown} ignored")
            return False
        if not stat.S_ISLNK(path.lstat().st_mode):
            return True
        target = path.resolve()
        if target == root or root.is_relative_to(target):
            self.notes.append(f"{shown} ignored: a link to a folder that holds it")
            return False
        if not target.is_relative_to(root):
            self.notes.append(
                f"{shown} ignored: a link that leaves {printable(root)}; give its target itself"
            )
            return False
        return True


def _distinct(paths: Sequence[Path]) -> list[Path]:
    """The paths in their order, each place once."""
    return list({path.resolve(): path for path in reversed(paths)}.values())[::-1]


def _is_file(path: Path) -> bool:
    """Whether a typed path is a file. Raises FleetError when it is not there at all."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise fleet_error(path, None, _why(error)) from error
    if stat.S_ISDIR(mode):
        return False
    if not stat.S_ISREG(mode):
        raise fleet_error(path, None, "neither a folder nor a fleet file (a TOML file)")
    return True


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "no such folder or fleet file; check the spelling"
    if isinstance(error, PermissionError):
        return "cannot be read; give yourself read permission (chmod u+rX), or leave it out"
    return f"cannot be read: {error.strerror}"

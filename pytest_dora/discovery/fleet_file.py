"""The fleet file: what an evaluator knows of the apps, in TOML.

::

    generations = ["bulk_run_results_20260101_120000.json"]

    [[app]]
    path = "apps/shop"             # relative to this file
    id = "shop"                    # the path as written when left out
    origin = "ai"                  # or "human"
    generator = "…"
    model = "…"
    prompt_id = "shop-1"
    attempt = 1
    expects = ["database"]
    previous_version = "v1"
    github = "owner/repository"    # names under which services know the app
    fly = "shop-app"
    databricks = "shop"

    [app.generation]
    seconds = 312.5
    cost_usd = 0.42

    [[app.waiver]]
    check = "typecheck"
    reason = "types of a dependency are broken upstream"
    expires = 2026-12-31

    [environments]                 # tiers of names that do not tell them
    github-pages = "production"

    [[collect]]                    # what `pytest-dora collect` reads besides the apps' services
    collector = "prometheus"
    scope = "http://127.0.0.1:9090"
    app = "shop"
    environment = "production"
    options = {alerts = '{job="shop"}'}
"""

from __future__ import annotations

import difflib
import os
import re
import tempfile
import unicodedata
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli
import tomli_w
from pydantic import ValidationError

from pytest_dora.discovery.errors import FleetError, fleet_error, printable
from pytest_dora.model.app import App, Generation, ServiceNames, Waiver
from pytest_dora.model.events import TIERS
from pytest_dora.model.fleet import Collected, Fleet

_WRITTEN_BY = "pytest-dora"
_TOP_KEYS = (
    "app", "generations", "environments", "collect", "roots", "notes", "source", "written_by",
)  # fmt: skip
_TYPED_KEYS = _TOP_KEYS[:4]
_SERVICES = tuple(ServiceNames.model_fields)
_APP_KEYS = (
    "id", "path", "origin", "generator", "model", "prompt_id", "attempt", "expects",
    "previous_version", *_SERVICES, "waiver", "generation",
)  # fmt: skip


def load_fleet(path: Path) -> Fleet:
    """Read a fleet file. Raises FleetError naming file, line and the way out."""
    text = _read(path)
    data = _parse(path, text)
    reader = _Reader(path, text, written_by_us=data.get("written_by") == _WRITTEN_BY)
    for key in data:
        if key not in _TOP_KEYS:
            known = _nearest(key, _TYPED_KEYS)
            raise fleet_error(
                path, reader.line(key), f"unknown key {key!r} in a fleet file; {known}"
            )
    entries = data.get("app", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise fleet_error(path, reader.line("app"), "apps are tables: write [[app]]")
    apps: dict[str, App] = {}
    for number, entry in enumerate(entries):
        app = reader.app(entry, number)
        if app.app_id in apps:
            raise fleet_error(
                path,
                reader.line("id", number),
                f"the app id {app.app_id!r} is given twice; give each app its own id",
            )
        apps[app.app_id] = app
    source = data.get("source") if reader.written_by_us else os.path.abspath(path)
    fleet = Fleet(
        apps=tuple(sorted(apps.values(), key=lambda app: app.app_id)),
        source=_path_in(source) if isinstance(source, str) else None,
        roots=tuple(_path_in(root) for root in reader.strings(data, "roots")),
        environments=reader.environments(data),
        collect=reader.collected(data, apps),
        notes=reader.strings(data, "notes"),
    )
    files = [path.absolute().parent / name for name in reader.strings(data, "generations")]
    if not files:
        return fleet
    from pytest_dora.discovery.generations import attach_generations

    for name in files:
        if not name.is_file():
            raise fleet_error(
                path,
                reader.line("generations"),
                f"generation file {printable(name)} does not exist; paths are relative to "
                "the fleet file",
            )
    return attach_generations(fleet, files)


def write_fleet(fleet: Fleet, path: Path) -> None:
    """Write the fleet so that ``load_fleet`` gives it back. Replaces the file in one step."""
    data: dict[str, Any] = {"written_by": _WRITTEN_BY}
    if fleet.source is not None:
        data["source"] = _path_out(fleet.source)
    data["roots"] = [_path_out(root) for root in fleet.roots]
    data["notes"] = list(fleet.notes)
    if fleet.environments:
        data["environments"] = fleet.environments
    if fleet.collect:
        data["collect"] = [one.model_dump(exclude_defaults=True) for one in fleet.collect]
    data["app"] = [_app_out(app) for app in fleet.apps]
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            tomli_w.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _app_out(app: App) -> dict[str, Any]:
    out = app.model_dump(
        mode="python",
        exclude={"app_id", "path", "services", "waivers", "generation"},
        exclude_defaults=True,
    )
    out = {"id": app.app_id, **out, **app.services.model_dump(exclude_none=True)}
    if app.path is not None:
        out["path"] = _path_out(app.path)
    if "origin" in out:
        out["origin"] = app.origin.value
    if app.generation is not None:
        out["generation"] = app.generation.model_dump(exclude_none=True)
    if app.waivers:
        out["waiver"] = [waiver.model_dump() for waiver in app.waivers]
    return out


def _path_out(path: Path) -> str:
    """A path as a TOML string; as a URI where its bytes are no text."""
    absolute = Path(os.path.abspath(path))
    text = str(absolute)
    return text if _is_text(text) else absolute.as_uri()


def _path_in(text: str) -> Path:
    if text.startswith("file:///"):
        return Path(os.fsdecode(urllib.parse.unquote_to_bytes(text.removeprefix("file://"))))
    return Path(text)


def _is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise fleet_error(path, None, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise fleet_error(path, None, "is no fleet file: a fleet file is TOML in UTF-8") from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    if path.name == "dora.toml":
        raise fleet_error(
            path, None, "dora.toml is an app's own word, not a fleet file; give the app's folder"
        )
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        message = re.sub(r" \(at .*\)$", "", str(error))
        hint = "" if path.suffix == ".toml" else "; a fleet file is TOML"
        raise fleet_error(
            path, error.lineno, f"{message[:1].lower()}{message[1:]}{hint}"
        ) from error


class _Reader:
    """Turns tables into models, and remembers where in the text they stand."""

    def __init__(self, path: Path, text: str, *, written_by_us: bool) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.written_by_us = written_by_us

    def line(self, key: str, number: int | None = None, after: str | None = None) -> int | None:
        """The line of a key: in the file, or in its ``number``-th app (after a sub-table)."""
        start, end = 0, len(self.lines)
        if number is not None:
            heads = [
                at
                for at, line in enumerate(self.lines)
                if re.match(r"\s*\[\[\s*[\"']?app[\"']?\s*\]\]", line)
            ]
            if number < len(heads):
                start = heads[number]
                end = heads[number + 1] if number + 1 < len(heads) else end
        if after is not None:
            start = next(
                (at for at in range(start, end) if re.match(rf"\s*\[+.*{after}", self.lines[at])),
                start,
            )
        found = re.compile(rf"\s*(\[+\s*)?(app\s*\.\s*)?[\"']?{re.escape(key)}[\"']?\s*[=\].]")
        for at in range(start, end):
            if found.match(self.lines[at]):
                return at + 1
        return start + 1 if self.lines else None

    def strings(self, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise fleet_error(self.path, self.line(key), f"{key} must be a list of strings")
        return tuple(value)

    def environments(self, data: Mapping[str, Any]) -> dict[str, str]:
        given = data.get("environments", {})
        if not isinstance(given, dict):
            raise fleet_error(self.path, self.line("environments"), "write [environments]")
        for name, tier in given.items():
            if tier not in TIERS:
                raise fleet_error(
                    self.path, self.line(name), f"{tier!r} is no tier; tiers are {', '.join(TIERS)}"
                )
        return given

    def collected(self, data: Mapping[str, Any], apps: Mapping[str, App]) -> tuple[Collected, ...]:
        given = data.get("collect", [])
        if not isinstance(given, list):
            raise fleet_error(self.path, self.line("collect"), "write [[collect]]")
        found = []
        for entry in given:
            try:
                found.append(Collected.model_validate(entry))
            except ValidationError as error:
                problem = error.errors(include_url=False, include_input=False)[0]
                place = ".".join(str(part) for part in problem["loc"])
                raise fleet_error(
                    self.path, self.line("collect"), f"collect.{place}: {problem['msg']}"
                ) from error
            if found[-1].app is not None and found[-1].app not in apps:
                raise fleet_error(
                    self.path,
                    self.line("collect"),
                    f"[[collect]] names the app {found[-1].app!r}; {_nearest(found[-1].app, tuple(apps))}",
                )
        return tuple(found)

    def app(self, entry: Mapping[str, Any], number: int) -> App:
        for key in entry:
            if key not in _APP_KEYS:
                raise fleet_error(
                    self.path,
                    self.line(key, number),
                    f"unknown key {key!r} in [[app]]; {_nearest(key, _APP_KEYS)}",
                )
        folder = self._folder(entry, number)
        identity = entry.get("id", entry.get("path"))
        if not isinstance(identity, str) or not identity.strip("/"):
            raise fleet_error(
                self.path, self.line("id", number), "an app needs an id, a non-empty string"
            )
        if "id" not in entry:
            identity = os.path.normpath(identity)
            identity = folder.name if identity == "." and folder is not None else identity
        values = {key: entry[key] for key in entry if key in App.model_fields}
        try:
            return App.model_validate(
                {
                    **values,
                    "app_id": unicodedata.normalize("NFC", identity),
                    "path": folder,
                    "services": {key: entry[key] for key in _SERVICES if key in entry},
                    "waivers": entry.get("waiver", ()),
                }
            )
        except ValidationError as error:
            raise self._invalid(error, number) from error

    def _folder(self, entry: Mapping[str, Any], number: int) -> Path | None:
        given = entry.get("path")
        if given is None:
            if self.written_by_us or "generation" in entry:
                return None
            raise fleet_error(
                self.path,
                self.line("id", number),
                "an app needs a path; only an app with [app.generation] may have none",
            )
        if not isinstance(given, str) or not given or "\0" in given:
            raise fleet_error(
                self.path, self.line("path", number), "path must be a non-empty string"
            )
        # The folder is named, not resolved: what was written here is what the reader looks for.
        folder = Path(os.path.abspath(self.path.absolute().parent / _path_in(given)))
        if not self.written_by_us and not folder.is_dir():
            raise fleet_error(
                self.path,
                self.line("path", number),
                f"app folder {printable(given)} does not exist; paths are relative to the "
                "fleet file",
            )
        return folder

    def _invalid(self, error: ValidationError, number: int) -> FleetError:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = [str(part) for part in problem["loc"]]
        table = {"waivers": "waiver", "generation": "generation"}.get(place[0])
        key = place[-1] if place and not place[-1].isdigit() else place[0]
        message = problem["msg"]
        if problem["type"] == "extra_forbidden":
            message = f"unknown key; remove it or correct its spelling ({_known_in(table)})"
        elif problem["type"] == "missing":
            message = f"is missing; write it below [[app.{table}]]"
        return fleet_error(
            self.path, self.line(key, number, after=table), f"app.{'.'.join(place)}: {message}"
        )


def _known_in(table: str | None) -> str:
    if table == "waiver":
        return f"known: {', '.join(Waiver.model_fields)}"
    return f"known: {', '.join(Generation.model_fields)}"


def _nearest(key: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"

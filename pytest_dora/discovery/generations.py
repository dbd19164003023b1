"""What generating the apps took: ``bulk_run_results_*.json`` beside them, claims inside them.

A result joins the app whose folder it names: by the full path, else by the folder's name; by
its prompt only when exactly one result and one app have that prompt. When several results name
one app, the last entry of the newest file says how it was generated; the cost of all of them
counts (``attempts_cost_usd``). A failed generation that left no folder is an app without a path.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from pytest_dora.discovery.errors import FleetError, fleet_error, printable
from pytest_dora.model.app import App, Generation
from pytest_dora.model.fleet import Fleet

PATTERN = "bulk_run_results_*.json"
_CLAIM = "generation_metrics.json"
_CLAIM_LIMIT = 1_000_000


@dataclass(frozen=True)
class _Entry:
    """One result of one file."""

    file: Path
    line: int
    generation: Generation
    app_dir: str | None
    model: str | None


def find_generation_files(roots: Sequence[Path]) -> tuple[Path, ...]:
    """The generation files that lie directly in folders of apps, by name.

    A root that is an app itself is left out: what lies inside an app is only its claim.
    """
    from pytest_dora.discovery.fleet import is_app

    found = []
    for root in dict.fromkeys(roots):
        if not is_app(root):
            found += sorted(
                path for path in root.glob(PATTERN) if path.is_file() and not path.is_symlink()
            )
    return tuple(found)


def attach_generations(fleet: Fleet, files: Sequence[Path]) -> Fleet:
    """The fleet with what the files say of each app's generation.

    What a fleet file says itself is kept. Failed results that fit no app become apps without a
    folder; successful ones that fit none are noted. Raises FleetError naming file and line.
    """
    entries = [entry for file in _oldest_first(files) for entry in _read(file)]
    known = _Known(fleet)
    joined: dict[str, list[_Entry]] = defaultdict(list)
    lost: list[_Entry] = []
    prompts = Counter(entry.generation.prompt for entry in entries if entry.app_dir is None)
    for entry in entries:
        app_id = known.match(entry, prompts)
        if app_id is not None:
            joined[app_id].append(entry)
        else:
            lost.append(entry)
    apps = {
        app.app_id: _told(app, joined[app.app_id]) if app.app_id in joined else app
        for app in fleet.apps
    }
    notes = list(fleet.notes)
    for entry in lost:
        if entry.generation.success:
            folder = printable(entry.app_dir or "none")
            notes.append(f"{_place(entry)}: no app has this generation's folder ({folder})")
            continue
        app = _without_folder(entry, apps)
        if app is not None:
            apps[app.app_id] = app
    return fleet.model_copy(
        update={
            "apps": tuple(sorted(apps.values(), key=lambda app: app.app_id)),
            "notes": tuple(dict.fromkeys(notes)),
        }
    )


def read_claimed(root: Path) -> Generation | None:
    """What ``generation_metrics.json`` inside an app claims; None when it claims nothing.

    Never raises: numbers that make no sense are left out.
    """
    try:
        descriptor = os.open(root / _CLAIM, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            data = json.loads(file.read(_CLAIM_LIMIT))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    values: dict[str, Any] = {}
    for name, value in _metrics(data).items():
        try:
            Generation.model_validate({name: value})
        except ValidationError:
            continue
        values[name] = value
    if not values:
        return None
    return Generation.model_validate({**values, "claimed": True, "source": _CLAIM})


class _Known:
    """The apps of a fleet, by all that a result may name them with."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.by_path: dict[Path, str] = {}
        self.by_name: dict[str, list[App]] = defaultdict(list)
        self.by_prompt: dict[str, list[App]] = defaultdict(list)
        for app in fleet.apps:
            if app.path is not None:
                self.by_path[app.path.resolve()] = app.app_id
                self.by_name[_nfc(app.path.name)].append(app)
            for prompt in {app.prompt_id, app.generation and app.generation.prompt}:
                if prompt:
                    self.by_prompt[prompt].append(app)

    def match(self, entry: _Entry, prompts: Counter[str | None]) -> str | None:
        if entry.app_dir is None:
            prompt = entry.generation.prompt
            fitting = self.by_prompt.get(prompt or "", [])
            return fitting[0].app_id if len(fitting) == 1 and prompts[prompt] == 1 else None
        named = entry.file.absolute().parent / entry.app_dir
        if (exact := self.by_path.get(named.resolve())) is not None:
            return exact
        fitting = self.by_name.get(_nfc(PurePosixPath(entry.app_dir).name), [])
        if len(fitting) > 1:
            raise fleet_error(
                entry.file,
                entry.line,
                f"app_dir {printable(entry.app_dir)!r} fits {fitting[0].app_id!r} and "
                f"{fitting[1].app_id!r}; write the full path of the folder",
            )
        return fitting[0].app_id if fitting else None


def _told(app: App, entries: Sequence[_Entry]) -> App:
    """The app with its generation: the last entry's, the evaluator's own words kept."""
    last = entries[-1]
    costs = [e.generation.cost_usd for e in entries if e.generation.cost_usd is not None]
    told = last.generation.model_copy(
        update={
            "attempts": len(entries),
            "attempts_cost_usd": math.fsum(costs) if costs else None,
        }
    )
    if app.generation is not None:
        told = told.model_copy(update=app.generation.model_dump(exclude_none=True))
    return app.model_copy(
        update={
            "generation": told,
            "model": app.model or last.model,
            "generator": app.generator or last.generation.backend,
        }
    )


def _without_folder(entry: _Entry, apps: Mapping[str, App]) -> App | None:
    """An app for a generation that left no folder; None when the fleet has it already."""
    source = entry.generation.source
    if any(app.path is None and _source(app) == source for app in apps.values()):
        return None
    digest = hashlib.sha256((entry.generation.prompt or "").encode()).hexdigest()[:8]
    name = _nfc(PurePosixPath(entry.app_dir).name) if entry.app_dir else ""
    base = name or f"failed-generation-{digest}"
    app_id, number = base, 1
    while app_id in apps:
        number += 1
        app_id = f"{base}-{number}"
    return App(
        app_id=app_id,
        path=None,
        model=entry.model,
        generator=entry.generation.backend,
        generation=entry.generation.model_copy(
            update={"attempts": 1, "attempts_cost_usd": entry.generation.cost_usd}
        ),
    )


def _source(app: App) -> str | None:
    return app.generation.source if app.generation is not None else None


def _place(entry: _Entry) -> str:
    return f"{printable(entry.file)}:{entry.line}"


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())


def _oldest_first(files: Sequence[Path]) -> list[Path]:
    """By the time in the name as the generator writes it, else by modification time."""

    def written(file: Path) -> str:
        named = re.search(r"(\d{8}_\d{6})", file.name)
        if named:
            return named[1]
        try:
            return time.strftime("%Y%m%d_%H%M%S", time.localtime(file.stat().st_mtime))
        except OSError:
            return ""

    distinct = {file.resolve(): file for file in files}.values()
    return sorted(distinct, key=lambda file: (written(file), str(file)))


def _read(file: Path) -> list[_Entry]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        data = json.loads(text)
    except OSError as error:
        raise fleet_error(file, None, f"cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise fleet_error(
            file, error.lineno, f"no valid JSON: {error.msg}; generate it anew or leave it out"
        ) from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise fleet_error(file, None, "no JSON in UTF-8; leave it out") from error
    metadata: Mapping[str, Any] = {}
    results = data
    if isinstance(data, dict):
        results = data.get("results")
        found = data.get("metadata")
        metadata = found if isinstance(found, dict) else {}
    if not isinstance(results, list):
        raise fleet_error(
            file, 1, 'must be a list of results, or an object with "results"; leave it out'
        )
    lines = _lines_of_entries(text, wrapped=isinstance(data, dict))
    return [
        _entry(file, lines[at] if at < len(lines) else 1, at, result, metadata)
        for at, result in enumerate(results)
    ]


def _lines_of_entries(text: str, *, wrapped: bool) -> list[int]:
    """The line on which each result begins."""
    opening = re.search(r'"results"\s*:\s*\[', text) if wrapped else re.search(r"\[", text)
    lines: list[int] = []
    if opening is None:
        return lines
    decoder = json.JSONDecoder()
    at = opening.end()
    while True:
        blank = re.compile(r"[\s,]*").match(text, at)
        at = blank.end() if blank else at
        if at >= len(text) or text[at] == "]":
            return lines
        lines.append(text.count("\n", 0, at) + 1)
        try:
            _, at = decoder.raw_decode(text, at)
        except ValueError:
            return lines


def _entry(
    file: Path, line: int, number: int, result: object, metadata: Mapping[str, Any]
) -> _Entry:
    if not isinstance(result, dict):
        raise fleet_error(file, line, "a result must be an object with prompt and success")
    metrics = result.get("metrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    if not isinstance(result.get("success"), bool):
        raise fleet_error(file, line, "a result needs success: true or false")
    values = {
        **_metrics(metrics),
        "prompt": result.get("prompt"),
        "success": result["success"],
        "error": result.get("error"),
        "backend": result.get("backend") or metadata.get("backend"),
        "source": f"{file.name}#{number + 1}",
    }
    try:
        generation = Generation.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise fleet_error(file, line, f"{key}: {problem['msg']}; correct the number") from error
    return _Entry(
        file=file,
        line=line,
        generation=generation,
        app_dir=_text(file, line, result, "app_dir") or _text(file, line, metrics, "app_dir"),
        model=_text(file, line, result, "model") or _text(file, line, metadata, "model"),
    )


def _text(file: Path, line: int, values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if value is not None and (not isinstance(value, str) or "\0" in value):
        raise fleet_error(file, line, f"{key} must be a string")
    return value or None


_NAMES = {
    "cost_usd": "cost_usd",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "turns": "turns",
    "validation_runs": "validation_runs",
    "generation_time_sec": "seconds",
    "started_at": "started_at",
    "finished_at": "finished_at",
}


def _metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics under our names; times without a zone are left out, for nobody knows it."""
    values = {ours: metrics[theirs] for theirs, ours in _NAMES.items() if theirs in metrics}
    for key in ("started_at", "finished_at"):
        values[key] = _utc(values.get(key))
    return {key: value for key, value in values.items() if value is not None}


def _utc(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return moment.astimezone(UTC)


__all__ = ["FleetError", "attach_generations", "find_generation_files", "read_claimed"]

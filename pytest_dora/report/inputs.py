"""What a report is made of, as files of the run's folder, so that it can be made again.

``run.json`` and ``fleet.toml`` hold what was known before the first check; the workers' spools
hold one line per event, flushed as it happened; ``apps/`` holds the results of a run that ended
properly.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pytest_dora.discovery.fleet import FleetError, load_fleet, write_fleet
from pytest_dora.model.fleet import AppFacts, Fleet
from pytest_dora.model.report import RunInfo, RunStatus
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.model.settings import Settings
from pytest_dora.report.assemble import Pair
from pytest_dora.report.files import to_json, write_atomically
from pytest_dora.report.text import masked_settings


class RunError(ValueError):
    """A run's folder or report that cannot be used; one line naming file, line and way out."""


@dataclass(frozen=True)
class Inputs:
    """What was known of a run before its first check."""

    run: RunInfo
    fleet: Fleet
    expected: tuple[Pair, ...]
    settings: Settings


@dataclass(frozen=True)
class Recorded:
    """A run as its folder tells of it."""

    folder: Path
    inputs: Inputs
    results: tuple[CheckResult, ...]
    facts: tuple[AppFacts, ...]
    status: RunStatus
    notes: tuple[str, ...] = ()

    @property
    def output(self) -> Path:
        """The folder in which the run's ``report.json`` lies."""
        return self.folder.parent.parent


def write_inputs(inputs: Inputs, output: Path) -> None:
    """Write ``run.json`` and ``fleet.toml`` into the run's folder, before any check."""
    folder = output / "runs" / inputs.run.id
    content = {
        "run": inputs.run.model_dump(mode="json"),
        "expected": [list(pair) for pair in inputs.expected],
        "settings": masked_settings(inputs.settings).model_dump(mode="json"),
    }
    write_fleet(inputs.fleet, folder / "fleet.toml")
    write_atomically(folder / "run.json", to_json(content))


def read_run(folder: Path) -> Recorded:
    """A run from its folder: what it expected, and all that its checks answered.

    A check that began in a spool and never ended is ``crashed``: its worker died. Raises RunError for a folder that does not tell.
    """
    inputs = _read_inputs(folder)
    ended = _ended(folder, inputs.run.id)
    spool = _Spool()
    for path in sorted((folder / "spool").glob("*.jsonl")):
        spool.read(path)
    results = spool.answers()
    facts = dict(spool.facts)
    for path in sorted((folder / "apps").glob("*.json")):
        _add_details(path, results, facts)
    run, status = ended or (inputs.run, RunStatus.INTERRUPTED)
    return Recorded(
        folder=folder,
        inputs=Inputs(run, inputs.fleet, inputs.expected, inputs.settings),
        results=tuple(results.values()),
        facts=tuple(facts[app_id] for app_id in sorted(facts)),
        status=status,
        notes=tuple(spool.notes),
    )


def _read_inputs(folder: Path) -> Inputs:
    path = folder / "run.json"
    content = _json(path)
    if not isinstance(content, dict):
        raise RunError(f"{path}:1: is not the start of a run; give the folder of a run")
    try:
        return Inputs(
            run=RunInfo.model_validate(content.get("run")),
            fleet=load_fleet(folder / "fleet.toml"),
            expected=TypeAdapter(tuple[Pair, ...]).validate_python(
                [tuple(pair) for pair in content.get("expected", ())]
            ),
            settings=Settings.model_validate(content.get("settings")),
        )
    except ValidationError as error:
        raise RunError(f"{path}: {_first(error)}; was it written by another version?") from error
    except FleetError as error:
        raise RunError(str(error)) from error


def _ended(folder: Path, run_id: str) -> tuple[RunInfo, RunStatus] | None:
    """How the run ended by its own report; None when it never wrote one, or a later run did."""
    path = folder.parent.parent / "report.json"
    try:
        content = json.loads(path.read_bytes())
        run = RunInfo.model_validate(content["run"])
        status = RunStatus(content["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (run, status) if run.id == run_id and status is not RunStatus.STARTED else None


def _add_details(path: Path, results: dict[Pair, CheckResult], facts: dict[str, AppFacts]) -> None:
    """What the run itself put into an app's file; it knows better than the spools."""
    content = _json(path)
    try:
        for written in content["results"]:
            result = CheckResult.model_validate(written)
            if result.outcome is not Outcome.NOT_RUN:
                results[result.app_id, result.check_id] = result
        if content["facts"] is not None:
            one = AppFacts.model_validate(content["facts"])
            facts[one.app_id] = one
    except (ValidationError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: is not an app's file of this version; delete it to use the spools"
        ) from error


@dataclass
class _Spool:
    """The events of all workers of a run."""

    results: dict[Pair, CheckResult] = field(default_factory=dict)
    facts: dict[str, AppFacts] = field(default_factory=dict)
    open: dict[Pair, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def read(self, path: Path) -> None:
        """Take in one worker's lines; a torn last line is what a killed worker leaves."""
        running: dict[Pair, str] = {}
        for number, event in _events(path, self.notes):
            try:
                self._take(event, running)
            except (ValidationError, KeyError, TypeError, AttributeError):
                self.notes.append(f"{path.name}:{number}: not an event of this version; skipped")
        self.open.update(running)

    def _take(self, event: dict[str, Any], running: dict[Pair, str]) -> None:
        match event["event"]:
            case "check_started":
                running[str(event["app_id"]), str(event["check_id"])] = str(event.get("at"))
            case "check_finished":
                result = CheckResult.model_validate(event["result"])
                pair = result.app_id, result.check_id
                running.pop(pair, None)
                earlier = self.results.get(pair)
                if earlier is None or _moment(earlier) <= _moment(result):
                    self.results[pair] = result
            case "app_facts":
                one = AppFacts.model_validate(event["facts"])
                self.facts[one.app_id] = one

    def answers(self) -> dict[Pair, CheckResult]:
        """The results, and the checks that were cut off by the end of their worker."""
        found = dict(self.results)
        for (app_id, check), at in self.open.items():
            if (app_id, check) not in found:
                found[app_id, check] = CheckResult(
                    app_id=app_id,
                    check_id=check,
                    outcome=Outcome.CRASHED,
                    reason="worker_died",
                    message=f"the worker ended during this check, which began at {at}",
                )
        return found


def _moment(result: CheckResult) -> float:
    return result.started_at.timestamp() if result.started_at else 0.0


def _events(path: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError:
            if number < len(lines):
                notes.append(f"{path.name}:{number}: not JSON; skipped")
            continue
        if isinstance(event, dict):
            yield number, event


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: does not exist; give a run's folder (.dora/runs/<id>), or a report.json "
            "with its runs/ folder beside it"
        ) from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise RunError(f"{path}:{error.lineno}: no valid JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: no JSON in UTF-8") from error


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"

"""One report from what runs left behind: a run cut short, or the shards of a fleet."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_dora.model.fleet import AppFacts, Fleet
from pytest_dora.model.report import Report, RunInfo, RunStatus
from pytest_dora.model.result import CheckResult
from pytest_dora.model.settings import Settings
from pytest_dora.report.assemble import Pair, assemble
from pytest_dora.report.inputs import Inputs, Recorded, RunError, read_run, write_inputs
from pytest_dora.report.writers import write_report

_OWN = {"shard", "output", "work"}
"""Settings in which the shards of one run may differ."""


@dataclass(frozen=True)
class Merged:
    """A report with all that it was made of."""

    report: Report
    results: tuple[CheckResult, ...]
    facts: tuple[AppFacts, ...]
    inputs: Inputs


def run_folder(path: Path) -> Path:
    """The folder of a run, from itself, its ``report.json`` or the folder in which that lies.

    Raises RunError.
    """
    if (path / "run.json").is_file() or (path / "spool").is_dir():
        return path.resolve()
    report = path / "report.json" if path.is_dir() else path
    run_id = read_report(report).run.id
    folder = report.resolve().parent / "runs" / run_id
    if not folder.is_dir():
        raise RunError(
            f"{report}: its run's folder runs/{run_id} is not beside it; keep the whole output "
            "folder together"
        )
    return folder


def read_report(path: Path) -> Report:
    """A ``report.json``. Raises RunError naming the file and the way out."""
    try:
        return Report.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: does not exist; run `pytest --dora PATH` first, or name a report.json"
        ) from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RunError(
            f"{path}: is no report of this version of pytest-dora; run the evaluation again, or "
            "use the version that wrote it"
        ) from error


def merge(runs: Sequence[Recorded]) -> Merged:
    """One report from one run, or from all shards of one.

    The order of the runs does not matter. Raises RunError where a shard is missing, is given
    twice or contradicts another: other apps, settings or versions, two answers to one check.
    """
    if not runs:
        raise RunError("nothing to merge: name the folders or reports of the runs")
    shards = _in_order(runs)
    first = shards[0].inputs
    for other in shards[1:]:
        _refuse_contradiction(shards[0], other)
    expected, results = _union(shards)
    run = _merged_run(shards)
    settings = first.settings.model_copy(update={"shard": None})
    inputs = Inputs(run, first.fleet, tuple(expected), settings)
    facts = _facts(shards)
    report = assemble(first.fleet, expected, results, facts, run, settings, status=_status(shards))
    return Merged(report, tuple(results), tuple(facts), inputs)


def merge_paths(
    paths: Sequence[Path], output: Path | None = None, store: str | None = None
) -> tuple[Merged, Path]:
    """Merge the runs that the paths name, and write the report; returns it and its folder.

    Without ``output`` one run is rebuilt where it lies, and shards are merged into ``.dora`` of
    the current folder. With a ``store`` the report says what production showed. Raises RunError,
    StoreError, and OSError where nothing can be written.
    """
    folders = list(dict.fromkeys(run_folder(path) for path in paths))
    runs = [read_run(folder) for folder in folders]
    merged = merge(runs)
    if store is not None:
        from pytest_dora.report.observed import with_store

        settings = merged.inputs.settings.model_copy(update={"store": store})
        report, notes = with_store(merged.report, merged.inputs.fleet, settings, create=False)
        report = report.model_copy(update={"notes": (*report.notes, *notes)})
        merged = replace(merged, report=report)
    target = output or (runs[0].output if len(runs) == 1 else Path(".dora"))
    if output is None and len(runs) == 1:
        _refuse_replacing_a_later_run(runs[0])
    write_inputs(merged.inputs, target)
    _copy_logs(runs, target / "runs" / merged.report.run.id)
    write_report(merged.report, merged.results, merged.facts, target)
    return merged, target


def _in_order(runs: Sequence[Recorded]) -> list[Recorded]:
    """The shards by number; refuses what is no complete set of them."""
    if len(runs) == 1 and runs[0].inputs.run.shard is None:
        return list(runs)
    by_number: dict[int, Recorded] = {}
    totals = {}
    for one in runs:
        shard = one.inputs.run.shard
        if shard is None:
            raise RunError(
                f"{one.folder}: is no shard but a whole run; only shards can be merged with others"
            )
        number, total = shard
        totals[total] = one.folder
        if number in by_number:
            raise RunError(
                f"{one.folder}: shard {number} of {total} is also {by_number[number].folder}; "
                "leave one of them out"
            )
        by_number[number] = one
    if len(totals) > 1:
        named = ", ".join(f"{folder} is of {total}" for total, folder in sorted(totals.items()))
        raise RunError(f"the shards are of different numbers of shards: {named}")
    total = next(iter(totals))
    missing = [str(number) for number in range(1, total + 1) if number not in by_number]
    if missing:
        raise RunError(
            f"shard {', '.join(missing)} of {total} is missing; give the output folders of all "
            f"{total} shards"
        )
    return [by_number[number] for number in sorted(by_number)]


def _refuse_contradiction(one: Recorded, other: Recorded) -> None:
    here, there = one.inputs, other.inputs
    where = f"{other.folder} and {one.folder}"
    ids = [{app.app_id for app in inputs.fleet.apps} for inputs in (here, there)]
    differing = sorted(ids[0] ^ ids[1])
    if differing:
        raise RunError(
            f"{where} are of different fleets: only one has {differing[0]!r}; evaluate all shards "
            "from the same folder"
        )
    for app, twin in zip(_described(here.fleet), _described(there.fleet), strict=True):
        if app != twin:
            raise RunError(
                f"{where} describe {app['app_id']!r} differently; use one fleet file for all shards"
            )
    for name in Settings.model_fields:
        mine, theirs = getattr(here.settings, name), getattr(there.settings, name)
        if name not in _OWN and mine != theirs:
            raise RunError(
                f"{where} differ in {name} ({theirs!r} and {mine!r}); use the same options for "
                "all shards"
            )
    if here.run.tool != there.run.tool or here.run.checks_known != there.run.checks_known:
        raise RunError(
            f"{where} are of different versions of pytest-dora or have different checks; install "
            "the same for all shards"
        )


def _described(fleet: Fleet) -> list[dict[str, object]]:
    """What is known of the apps, wherever their folders lie."""
    return [
        {**app.model_dump(exclude={"path"}), "folder": app.path is not None} for app in fleet.apps
    ]


def _union(shards: Sequence[Recorded]) -> tuple[list[Pair], list[CheckResult]]:
    asked: dict[Pair, Recorded] = {}
    results: dict[Pair, CheckResult] = {}
    for shard in shards:
        for pair in shard.inputs.expected:
            if asked.setdefault(pair, shard) is not shard:
                raise RunError(
                    f"{shard.folder} and {asked[pair].folder} both evaluated {pair[0]}::{pair[1]}; "
                    "leave one of them out"
                )
        for result in shard.results:
            pair = result.app_id, result.check_id
            if results.setdefault(pair, result) != result:
                raise RunError(
                    f"{shard.folder}: {pair[0]}::{pair[1]} has another result in another shard; "
                    "leave one of them out"
                )
    return list(asked), list(results.values())


def _facts(shards: Sequence[Recorded]) -> list[AppFacts]:
    facts: dict[str, AppFacts] = {}
    for shard in shards:
        for one in shard.facts:
            known = facts.setdefault(one.app_id, one)
            if known.fingerprint != one.fingerprint:
                raise RunError(
                    f"{shard.folder}: {one.app_id!r} changed between the shards; evaluate all "
                    "shards from the same state"
                )
    return [facts[app_id] for app_id in sorted(facts)]


def _merged_run(shards: Sequence[Recorded]) -> RunInfo:
    runs = [shard.inputs.run for shard in shards]
    notes = [note for shard in shards for note in shard.notes]
    if len(runs) == 1:
        run = runs[0]
        return run.model_copy(update={"shard": None, "notes": (*run.notes, *notes)})
    started = min(run.started_at for run in runs)
    ends = [run.finished_at for run in runs if run.finished_at is not None]
    ids = sorted(run.id for run in runs)
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:6]
    workers = [run.workers for run in runs if run.workers is not None]
    return runs[0].model_copy(
        update={
            "id": f"{started:%Y%m%dT%H%M%SZ}-{digest}",
            "started_at": started,
            "finished_at": max(ends) if len(ends) == len(runs) else None,
            "workers": sum(workers) if workers else None,
            "shard": None,
            "merged_from": tuple(ids),
            "notes": tuple(dict.fromkeys((*(n for run in runs for n in run.notes), *notes))),
        }
    )


def _status(shards: Sequence[Recorded]) -> RunStatus:
    statuses = {shard.status for shard in shards}
    for status in (RunStatus.ERROR, RunStatus.INTERRUPTED):
        if status in statuses:
            return status
    return RunStatus.FINISHED


def _refuse_replacing_a_later_run(run: Recorded) -> None:
    report = run.output / "report.json"
    if not report.exists():
        return
    there = read_report(report).run
    if there.id != run.inputs.run.id and there.started_at > run.inputs.run.started_at:
        raise RunError(f"{report}: is of a later run ({there.id}); give --output DIR to keep both")


def _copy_logs(runs: Sequence[Recorded], target: Path) -> None:
    """Logs go where the merged report looks for them; they are of no weight to its numbers."""
    for run in runs:
        if run.folder != target.resolve() and (run.folder / "logs").is_dir():
            shutil.copytree(run.folder / "logs", target / "logs", symlinks=True, dirs_exist_ok=True)

"""Whether a fleet keeps the processors busy, and what the shortest profile takes of each app."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks.harness import (
    Claim,
    Options,
    Ran,
    Result,
    cores,
    evaluate,
    new_project,
    not_judged,
    outcomes,
)

NAME = "fleet_ratio"
_RUNS = 1


def measure(options: Options) -> Result:
    runs, apps = options.runs or _RUNS, options.apps.resolve()
    result = Result(NAME)
    with tempfile.TemporaryDirectory() as folder:
        project = new_project(Path(folder, "project"))
        # fills the caches, and tells which apps take longest
        evaluate(project, apps, "-n", "auto", xdist=True)
        fleet = [evaluate(project, apps, "-n", "auto", xdist=True) for _ in range(runs)]
        number = len(outcomes(project))
        result.notes += not_judged(project)
        smoke = [
            evaluate(project, apps, "-n", "auto", "--dora-profile", "smoke", xdist=True)
            for _ in range(runs)
        ]
        alone = [
            evaluate(project, apps, "--dora-profile", "smoke").wall / number for _ in range(runs)
        ]
    ratio = _tell(result, f"{number} apps, standard profile, -n auto", fleet)
    _tell(result, f"{number} apps, smoke profile, -n auto", smoke)
    result.row("smoke profile: seconds per app, -n auto", median(_wall(smoke)) / number)
    one_by_one = result.row("smoke profile: seconds per app, one after the other", median(alone))
    result.claims += [
        Claim("wall of a fleet ÷ (CPU seconds ÷ cores)", ratio, 1.5, "×"),
        Claim("smoke profile per app, warm caches, one after the other", one_by_one, 30, "s"),
    ]
    return result


def _tell(result: Result, what: str, runs: list[Ran]) -> float:
    result.row(f"{what}: wall", median(_wall(runs)))
    result.row(f"{what}: CPU of all processes", median(ran.cpu for ran in runs))
    ratio = median(ran.wall / (ran.cpu / cores()) for ran in runs)
    return result.row(f"{what}: wall ÷ (CPU ÷ {cores()} cores)", ratio, "×")


def _wall(runs: list[Ran]) -> list[float]:
    return [ran.wall for ran in runs]

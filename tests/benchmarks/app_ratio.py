"""How much longer an evaluation takes than the app's own commands, typed by hand."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from statistics import median

from pytest_dora.model.settings import Limits
from tests.benchmarks.bare import APPS, App, take_through
from tests.benchmarks.harness import (
    EXAMPLES,
    Claim,
    Options,
    ProgramFailed,
    Result,
    evaluate,
    new_project,
    not_judged,
)

NAME = "app_ratio"
_RUNS = 3
_CLOCK = """
import json, time
def tell(event):
    with open("clock.jsonl", "a") as file:
        file.write(json.dumps([event, time.monotonic()]) + "\\n")
def pytest_runtest_logstart():
    tell("start")
def pytest_runtest_logfinish():
    tell("finish")
"""


def measure(options: Options) -> Result:
    result = Result(NAME)
    with tempfile.TemporaryDirectory() as folder:
        project = new_project(Path(folder, "project"), _CLOCK)
        for name, app in APPS.items():
            _measure_app(result, name, app, project, options.runs or _RUNS)
    return result


def _measure_app(result: Result, name: str, app: App, project: Path, runs: int) -> None:
    source, soak = EXAMPLES / name, Limits().soak_seconds
    bare: list[dict[str, float]] = []
    ours: list[dict[str, float]] = []
    for number in range(runs + 1):  # the first of each fills the caches, and does not count
        copy = project.parent / f"{name}-{number}"
        bare.append(take_through(app, source, copy, soak))
        ours.append(_evaluate(project, source))
    result.notes += not_judged(project)
    for stage in bare[0]:
        result.row(f"{name}, by hand: {stage}", median(one[stage] for one in bare[1:]))
    by_hand = median(sum(one.values()) for one in bare[1:])
    result.row(f"{name}, by hand: all", by_hand)
    for check in ours[-1]:
        result.row(f"{name}, evaluated: {check}", median(one[check] for one in ours[1:]))
    evaluation = median(one["all checks"] for one in ours[1:])
    ratio = result.row(f"{name}, evaluated ÷ by hand", evaluation / by_hand, "×")
    result.claims.append(Claim(f"evaluation of {name} ÷ its own commands", ratio, 1.15, "×"))


def _evaluate(project: Path, source: Path) -> dict[str, float]:
    """Seconds by check; ``all checks`` from the first one's begin to the end of the app.

    The start and the end of pytest belong to the run, whatever the number of its apps.
    """
    clock = project / "clock.jsonl"
    clock.unlink(missing_ok=True)
    ran = evaluate(project, source)
    report = json.loads((project / ".dora" / "report.json").read_text())
    (app,) = report["apps"]
    seconds = {check: float(one["seconds"]) for check, one in app["checks"].items()}
    times = [json.loads(line)[1] for line in clock.read_text().splitlines()]
    if len(times) != 2 * len(seconds):
        raise ProgramFailed(f"{len(seconds)} checks left {len(times)} times")
    return {**seconds, "all checks": times[-1] - times[0], "the whole command": ran.wall}

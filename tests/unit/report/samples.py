"""Small fleets with results, made by hand or by hypothesis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st

from pytest_dora.model.app import App, Generation
from pytest_dora.model.fleet import AppFacts, Fleet
from pytest_dora.model.report import Report, RunInfo, Tool
from pytest_dora.model.result import CheckResult, Finding, FindingOutcome, Outcome, Timing
from pytest_dora.model.settings import Level, Settings
from pytest_dora.report.assemble import Pair, assemble
from tests.unit.discovery_fleet.strategies import fleets, texts

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
CHECKS = ("build", "typecheck", "tests", "runtime")
ALL_CHECKS = (
    *CHECKS, "connectivity", "data", "browser", "security", "runability", "deployability",
    "observability", "rollback",
)  # fmt: skip


def run(run_id: str = "r1", **more: object) -> RunInfo:
    return RunInfo.model_validate(
        {"id": run_id, "started_at": START, "tool": Tool(version="1"), **more}
    )


def result(
    app_id: str = "a", check: str = "build", outcome: str = "passed", **more: object
) -> CheckResult:
    return CheckResult.model_validate(
        {"app_id": app_id, "check_id": check, "outcome": outcome, "seconds": 1.0, **more}
    )


def app(app_id: str = "a", **more: object) -> App:
    return App.model_validate({"app_id": app_id, "path": Path("/apps", app_id), **more})


def timing(name: str, at: float, seconds: float, cpu: float | None = None) -> Timing:
    return Timing(
        name=name, started_at=START + timedelta(seconds=at), seconds=seconds, cpu_seconds=cpu
    )


def failing(probe: str, message: str = "no") -> Finding:
    return Finding(probe=probe, outcome=FindingOutcome.FAIL, tier="dynamic", message=message)


def report(
    apps: Sequence[App],
    results: Sequence[CheckResult],
    *,
    expected: Iterable[Pair] | None = None,
    facts: Sequence[AppFacts] = (),
    info: RunInfo | None = None,
    **settings: object,
) -> Report:
    asked = [(one.app_id, one.check_id) for one in results] if expected is None else [*expected]
    return assemble(
        Fleet(apps=tuple(apps)),
        asked,
        results,
        facts,
        info or run(),
        Settings.model_validate(settings),
    )


def ready(app_id: str, **scores: int) -> list[CheckResult]:
    """Results with which an app is a production candidate."""
    results = []
    for check in ALL_CHECKS:
        score = (
            scores.get(check, 5)
            if check
            in ("runability", "deployability", "observability", "rollback", "browser", "security")
            else None
        )
        more: dict[str, object] = {"score": score, "verified_score": score}
        if check == "build":
            more["timings"] = [timing("install", 0, 10), timing("build", 10, 20)]
        if check == "runtime":
            more["timings"] = [timing("start", 40, 2)]
        results.append(result(app_id, check, **more))
    return results


GENERATED = Generation(prompt="p", success=True, seconds=100, cost_usd=0.5, attempts=1,
                       attempts_cost_usd=0.5, input_tokens=900, output_tokens=100, turns=4)  # fmt: skip


@dataclass(frozen=True)
class Evaluated:
    """The inputs of a report."""

    fleet: Fleet
    expected: tuple[Pair, ...]
    results: tuple[CheckResult, ...]
    facts: tuple[AppFacts, ...]
    settings: Settings


_probes = st.sampled_from(("build.install", "tests.passed", "runtime.answer"))
_findings = st.builds(
    Finding,
    probe=_probes,
    outcome=st.sampled_from(FindingOutcome),
    tier=st.sampled_from(("static", "dynamic")),
    message=texts,
)
_seconds = st.floats(0, 1000, allow_nan=False)


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluated:
    """A fleet of which some pairs were asked, and some of these answered."""
    fleet = draw(fleets)
    asked = draw(st.lists(st.sampled_from(CHECKS), unique=True))
    expected = tuple((one.app_id, check) for one in fleet.apps for check in asked)
    answered = [pair for pair in expected if draw(st.integers(0, 9)) > 0]
    results = tuple(
        CheckResult(
            app_id=app_id,
            check_id=check,
            outcome=draw(st.sampled_from(Outcome)),
            reason=draw(st.none() | st.just("timeout")),
            message=draw(texts),
            verified_score=draw(st.none() | st.integers(0, 5)),
            findings=tuple(draw(st.lists(_findings, max_size=2))),
            timings=(timing("install", 0, draw(_seconds)), timing("start", 9, draw(_seconds), 1)),
            seconds=draw(_seconds),
        )
        for app_id, check in answered
    )
    facts = tuple(
        AppFacts(app_id=one.app_id, stack=("react",), fingerprint="f", loc=draw(st.integers(0, 99)))
        for one in fleet.apps
        if draw(st.booleans())
    )
    settings = Settings(
        gate=draw(st.none() | st.sampled_from(Level)),
        fail_under=draw(st.none() | st.floats(0, 100)),
    )
    return Evaluated(fleet, expected, results, facts, settings)

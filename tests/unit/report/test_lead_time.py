"""From the prompt to a healthy start, part by part; what is unknown stays unknown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_dora.model.app import Generation, Origin
from pytest_dora.report.lead_time import cost, generation_seconds, lead_time
from tests.unit.report.samples import GENERATED, START, result, timing

BUILT = result(
    "a",
    "build",
    timings=[timing("install backend", 0, 10), timing("install", 12, 5), timing("build", 20, 4)],
)
STARTED = result("a", "runtime", timings=[timing("prepare", 30, 1), timing("start", 40, 2)])
BOTH = {"build": BUILT, "runtime": STARTED}


def test_the_parts_add_up() -> None:
    found = lead_time(Origin.AI, GENERATED, BOTH)
    assert found.parts.model_dump() == {"generation": 100, "install": 15, "build": 4, "start": 2}
    assert found.build_duration_sec == 19
    assert found.total_lead_time_sec == 121
    assert (found.basis, found.missing, found.reason) == ("estimated", (), None)
    assert found.build_start_timestamp == "2026-01-31T12:00:00+00:00"
    assert found.build_complete_timestamp == "2026-01-31T12:00:24+00:00"
    assert found.deployment_duration_sec is None


def test_the_checks_own_measurements_count_before_their_timings() -> None:
    build = BUILT.model_copy(update={"measurements": {"install_seconds": 3.5}})
    assert lead_time(Origin.AI, GENERATED, {"build": build}).parts.install == 3.5


def test_times_of_the_generation_are_told_in_utc() -> None:
    generation = Generation(started_at=START - timedelta(seconds=90), finished_at=START)
    found = lead_time(Origin.AI, generation, BOTH)
    assert found.prompt_timestamp == "2026-01-31T11:58:30+00:00"
    assert found.generation_duration_sec == 90


@pytest.mark.parametrize(
    ("origin", "generation", "results", "missing", "reason"),
    [
        (Origin.AI, None, BOTH, ("generation",), "generation_unknown"),
        (Origin.HUMAN, None, BOTH, (), None),
        (Origin.AI, GENERATED, {"build": BUILT}, ("start",), "not_started"),
        (Origin.AI, GENERATED, {"runtime": STARTED}, ("install", "build"), "not_built"),
        (Origin.AI, GENERATED, {}, ("install", "build", "start"), "not_started"),
        (Origin.AI, GENERATED, {**BOTH, "runtime": STARTED.model_copy(
            update={"outcome": "failed"})}, ("start",), "not_started"),
    ],
)  # fmt: skip
def test_a_missing_part_leaves_no_total(
    origin: Origin, generation: Generation | None, results: dict, missing: tuple, reason: str
) -> None:
    found = lead_time(origin, generation, results)
    assert (found.missing, found.reason) == (missing, reason)
    assert (found.total_lead_time_sec is None) is bool(missing)


def test_a_build_without_steps_took_no_time() -> None:
    found = lead_time(Origin.HUMAN, None, {"build": result(), "runtime": STARTED})
    assert found.total_lead_time_sec == 2


@pytest.mark.parametrize(
    "generation",
    [
        GENERATED.model_copy(update={"claimed": True}),
        GENERATED.model_copy(update={"success": False}),
        Generation(started_at=START, finished_at=START - timedelta(seconds=1)),
        Generation(),
    ],
)
def test_claims_failures_and_running_clocks_backwards_are_no_duration(
    generation: Generation,
) -> None:
    assert generation_seconds(generation) is None


def test_all_attempts_cost() -> None:
    twice = GENERATED.model_copy(update={"attempts": 2, "attempts_cost_usd": 1.25})
    found = cost(twice, [result(timings=[timing("build", 0, 5, cpu=7)]), STARTED])
    assert (found.generation_usd, found.attempts_usd, found.total_usd) == (0.5, 1.25, 1.25)
    assert found.evaluation_cpu_seconds == 7
    assert found.reason is None


def test_claimed_costs_never_count() -> None:
    found = cost(GENERATED.model_copy(update={"claimed": True}), [])
    assert (found.total_usd, found.reason) == (None, "generation_cost_unknown")

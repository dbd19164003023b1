"""From the prompt to an app that answers: the lead time that one run can see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pytest_dora.model.app import Generation, Origin
from pytest_dora.model.report import AppCost, AppLeadTime, LeadTimeParts
from pytest_dora.model.result import CheckResult, Outcome, Timing

_NOT_READY = {
    "generation": "generation_unknown",
    "install": "not_installed",
    "build": "not_built",
    "start": "not_started",
}


def lead_time(
    origin: Origin, generation: Generation | None, results: Mapping[str, CheckResult]
) -> AppLeadTime:
    """The lead time of one app; the total is null with a reason when a part is missing.

    A part counts only when its check passed: a build that fails takes no time to an artefact.
    What people wrote has no generation, so that part is no part of theirs.
    """
    build, runtime = results.get("build"), results.get("runtime")
    built = build is not None and build.outcome is Outcome.PASSED
    started = runtime is not None and runtime.outcome is Outcome.PASSED
    installing = _named(build, "install") if built else []
    building = _named(build, "build") if built else []
    parts = LeadTimeParts(
        generation=generation_seconds(generation) if generation is not None else None,
        install=_seconds(build, "install") if built else None,
        build=_seconds(build, "build") if built else None,
        start=_seconds(runtime, "start") if started else None,
    )
    values = parts.model_dump()
    if origin is Origin.HUMAN and values["generation"] is None:
        del values["generation"]
    missing = tuple(name for name, value in values.items() if value is None)
    spans = installing + building
    prompted = generation.started_at if generation else None
    completed = generation.finished_at if generation else None
    return AppLeadTime(
        prompt_timestamp=_text(prompted),
        generation_complete_timestamp=_text(completed),
        generation_duration_sec=parts.generation,
        build_start_timestamp=_text(min((span.started_at for span in spans), default=None)),
        build_complete_timestamp=_text(max(map(_end, spans), default=None)),
        build_duration_sec=None
        if parts.install is None or parts.build is None
        else parts.install + parts.build,
        total_lead_time_sec=None if missing else math.fsum(values.values()),
        parts=parts,
        missing=missing,
        reason=_NOT_READY[missing[-1]] if missing else None,
    )


def generation_seconds(generation: Generation) -> float | None:
    """How long a generation took; None for one that failed or is only claimed."""
    if generation.claimed or generation.success is False:
        return None
    if generation.seconds is not None:
        return generation.seconds
    if generation.started_at is None or generation.finished_at is None:
        return None
    took = (_aware(generation.finished_at) - _aware(generation.started_at)).total_seconds()
    return took if took >= 0 else None


def cost(generation: Generation | None, results: Sequence[CheckResult]) -> AppCost:
    """What an app cost. Nothing here has a price but its generations; the rest is null."""
    cpu = [
        timing.cpu_seconds
        for result in results
        for timing in result.timings
        if timing.cpu_seconds is not None
    ]
    known = generation if generation is not None and not generation.claimed else None
    once = known.cost_usd if known else None
    attempts = known.attempts_cost_usd if known else None
    total = attempts if attempts is not None else once
    return AppCost(
        generation_usd=once,
        attempts_usd=total,
        attempts=known.attempts if known else None,
        total_usd=total,
        evaluation_cpu_seconds=math.fsum(cpu) if cpu else None,
        reason=None if total is not None else "generation_cost_unknown",
    )


def _named(result: CheckResult | None, name: str) -> list[Timing]:
    if result is None:
        return []
    return [timing for timing in result.timings if timing.name.startswith(name)]


def _seconds(result: CheckResult | None, name: str) -> float | None:
    """Seconds of a part: as measured by its check, else the sum of its timings."""
    if result is None:
        return None
    measured = result.measurements.get(f"{name}_seconds")
    if isinstance(measured, int | float) and math.isfinite(measured) and measured >= 0:
        return float(measured)
    timings = _named(result, name)
    if timings:
        return math.fsum(timing.seconds for timing in timings)
    # A passed build without such a step had nothing to install or to build.
    return 0.0 if name in ("install", "build") else None


def _end(timing: Timing) -> datetime:
    return timing.started_at + timedelta(seconds=timing.seconds)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else _aware(moment).astimezone(UTC).isoformat()

"""Composite numbers of one app: AppEval-100, EffUnits and pass rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pytest_dora.model.app import Generation
from pytest_dora.model.report import CheckSummary
from pytest_dora.model.result import Outcome

_FLOOR = 1e-6
_JUDGED = {Outcome.PASSED: 1.0, Outcome.FAILED: 0.0, Outcome.BLOCKED: 0.0}


def appeval_100(checks: Mapping[str, CheckSummary]) -> float | None:
    """100 (0.7 R + 0.3 D) G, from 0 to 100; None when neither R nor D can be judged.

    R is the geometric mean of build, runtime, typecheck, tests and connectivity, D that of the
    verified runability and deployability; G punishes what does not even build, start or
    connect. Parts that cannot be judged are left out and the weights of the rest are scaled up.
    A blocked check counts as failed.
    """
    reliability = _geometric_mean(
        [
            value
            for check in ("build", "runtime", "typecheck", "tests", "connectivity")
            if (value := _binary(checks.get(check))) is not None
        ]
    )
    delivery = _geometric_mean(
        [
            value
            for check in ("runability", "deployability")
            if (value := _scored(checks.get(check))) is not None
        ]
    )
    parts = [
        (weight, value)
        for weight, value in ((0.7, reliability), (0.3, delivery))
        if value is not None
    ]
    if not parts:
        return None
    mixed = sum(weight * value for weight, value in parts) / sum(weight for weight, _ in parts)
    gates = 1.0
    for check, base in (("build", 0.25), ("runtime", 0.25), ("connectivity", 0.5)):
        value = _binary(checks.get(check))
        gates *= 1.0 if value is None else base + (1 - base) * value
    return 100 * mixed * gates


def eff_units(generation: Generation | None) -> float | None:
    """Tokens/1000 + turns + validation runs; None unless tokens and turns are known.

    Unknown validation runs count as none.
    """
    if generation is None or generation.turns is None:
        return None
    if generation.input_tokens is None or generation.output_tokens is None:
        return None
    tokens = generation.input_tokens + generation.output_tokens
    return tokens / 1000 + generation.turns + (generation.validation_runs or 0)


def pass_rate(outcomes: Sequence[Outcome], *, applicable_only: bool) -> float | None:
    """Passed by all asked, or by all but the not applicable; None when that is nothing."""
    counted = [
        outcome
        for outcome in outcomes
        if not (applicable_only and outcome is Outcome.NOT_APPLICABLE)
    ]
    if not counted:
        return None
    return sum(outcome is Outcome.PASSED for outcome in counted) / len(counted)


def _binary(check: CheckSummary | None) -> float | None:
    return None if check is None else _JUDGED.get(check.outcome)


def _scored(check: CheckSummary | None) -> float | None:
    if check is None or check.outcome not in _JUDGED:
        return None
    if check.outcome is Outcome.BLOCKED:
        return 0.0
    return None if check.verified_score is None else check.verified_score / 5


def _geometric_mean(values: Sequence[float]) -> float | None:
    if not values:
        return None
    return math.exp(math.fsum(math.log(max(value, _FLOOR)) for value in values) / len(values))

"""AppEval-100, EffUnits and pass rates, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.model.app import Generation
from pytest_dora.model.report import CheckSummary
from pytest_dora.model.result import Outcome
from pytest_dora.report.scores import appeval_100, eff_units, pass_rate


def checks(**outcomes: str | int) -> dict[str, CheckSummary]:
    return {
        name: CheckSummary(outcome=Outcome.FAILED, verified_score=value)
        if isinstance(value, int)
        else CheckSummary(outcome=Outcome(value))
        for name, value in outcomes.items()
    }


ALL = {"build": "passed", "runtime": "passed", "typecheck": "passed", "tests": "passed",
       "connectivity": "passed"}  # fmt: skip


def test_a_perfect_app_has_a_hundred() -> None:
    assert appeval_100(checks(**ALL, runability=5, deployability=5)) == pytest.approx(100)


def test_scores_weigh_three_tenths() -> None:
    expected = 100 * (0.7 + 0.3 * math.sqrt(0.6 * 0.8))
    assert appeval_100(checks(**ALL, runability=3, deployability=4)) == pytest.approx(expected)


def test_failing_tests_alone_crush_reliability() -> None:
    found = appeval_100(checks(**{**ALL, "tests": "failed"}, runability=5, deployability=5))
    assert found == pytest.approx(100 * (0.7 * 1e-6**0.2 + 0.3))


def test_an_app_that_does_not_build_keeps_a_quarter_of_each_gate() -> None:
    found = appeval_100(checks(build="failed", runtime="blocked"))
    assert found == pytest.approx(100 * 1e-6 * 0.25 * 0.25)


@pytest.mark.parametrize(
    "outcome", ["not_applicable", "inconclusive", "error", "crashed", "not_run"]
)
def test_what_cannot_be_judged_is_left_out(outcome: str) -> None:
    found = appeval_100(checks(**{**ALL, "connectivity": outcome}))
    assert found == pytest.approx(100)


def test_nothing_judged_is_no_score() -> None:
    assert appeval_100({}) is None
    assert appeval_100(checks(build="inconclusive", browser="passed")) is None


@given(
    st.dictionaries(
        st.sampled_from((*ALL, "runability", "deployability")),
        st.builds(
            CheckSummary,
            outcome=st.sampled_from(Outcome),
            verified_score=st.none() | st.integers(0, 5),
        ),
    )
)
def test_a_score_is_between_zero_and_a_hundred(found: dict[str, CheckSummary]) -> None:
    score = appeval_100(found)
    assert score is None or 0 <= score <= 100 + 1e-9


def test_eff_units_count_tokens_turns_and_validations() -> None:
    generation = Generation(input_tokens=1500, output_tokens=500, turns=7, validation_runs=3)
    assert eff_units(generation) == pytest.approx(12.0)
    assert eff_units(generation.model_copy(update={"validation_runs": None})) == pytest.approx(9.0)
    assert eff_units(generation.model_copy(update={"turns": None})) is None
    assert eff_units(generation.model_copy(update={"input_tokens": None})) is None
    assert eff_units(None) is None


def test_what_could_not_be_judged_is_no_pass() -> None:
    outcomes = [Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.NOT_APPLICABLE, Outcome.NOT_RUN]
    assert pass_rate(outcomes, applicable_only=True) == pytest.approx(1 / 3)
    assert pass_rate(outcomes, applicable_only=False) == pytest.approx(1 / 4)
    assert pass_rate([Outcome.NOT_APPLICABLE], applicable_only=True) is None
    assert pass_rate([], applicable_only=False) is None

"""Levels and the gate: what satisfies, what does not, and when nothing may be said."""

from __future__ import annotations

from datetime import date

import pytest

from pytest_dora.model.app import Generation, Waiver
from pytest_dora.model.report import GateStatus, LevelStatus, Report
from pytest_dora.model.settings import Level
from tests.unit.report.samples import ALL_CHECKS, GENERATED, app, ready, report, result, run


def built(app_id: str, *outcomes: str) -> list:
    return [
        result(app_id, check, outcome)
        for check, outcome in zip(("build", "runtime"), outcomes, strict=False)
    ]


def research(*apps: tuple[str, ...], **settings: object) -> Report:
    ids = "abcdefgh"
    return report(
        [app(ids[at]) for at in range(len(apps))],
        [one for at, outcomes in enumerate(apps) for one in built(ids[at], *outcomes)],
        gate="research",
        **settings,
    )


GOOD, BAD = ("passed", "passed"), ("failed", "blocked")


def test_the_share_of_apps_that_reach_the_level_decides() -> None:
    gate = research(GOOD, GOOD, GOOD, BAD, fail_under=75).gate
    assert (gate.status, gate.apps_total, gate.apps_reaching) == (GateStatus.EVALUATED, 4, 3)
    assert gate.percent == 75
    assert gate.ci95 == pytest.approx((30.06, 95.44), abs=0.01)
    assert gate.met is True
    assert gate.reasons == ()
    gate = research(GOOD, GOOD, BAD, fail_under=66.7).gate
    assert gate.met is False
    assert gate.reasons == ("2 of 3 apps reach research: 66.7 %, 66.7 % required",)


@pytest.mark.parametrize(
    ("outcome", "reaches"),
    [("passed", True), ("not_applicable", True), ("failed", False), ("blocked", False),
     ("inconclusive", False)],
)  # fmt: skip
def test_only_passed_and_not_applicable_satisfy(outcome: str, reaches: bool) -> None:
    gate = research(("passed", outcome), fail_under=100).gate
    assert gate.met is reaches


@pytest.mark.parametrize(
    ("outcome", "word"),
    [("crashed", "crashed: a::runtime"), ("error", "error of ours: a::runtime")],
)
def test_what_broke_fails_the_gate_whatever_the_share(outcome: str, word: str) -> None:
    gate = research(("passed", outcome), GOOD, fail_under=0).gate
    assert gate.met is False
    assert word in gate.reasons[0]


def test_a_missing_result_fails_the_gate() -> None:
    found = report(
        [app("a")],
        [result("a", "build")],
        expected=[("a", "build"), ("a", "runtime")],
        gate="research",
        fail_under=0,
    )
    assert found.gate.met is False
    assert found.gate.reasons == ("1 check without a result: a::runtime",)


def test_no_required_share_is_no_verdict() -> None:
    gate = research(GOOD).gate
    assert (gate.percent, gate.met) == (100, None)
    assert "--dora-fail-under" in gate.reasons[0]


def test_without_a_gate_none_is_evaluated() -> None:
    gate = report([app()], built("a", *GOOD)).gate
    assert (gate.status, gate.met, gate.apps_total) == (GateStatus.NOT_REQUESTED, None, 1)


def test_a_share_without_a_level_is_of_the_first_level() -> None:
    assert report([app()], built("a", *GOOD), fail_under=50).gate.level is Level.RESEARCH


def test_an_app_that_was_not_selected_leaves_the_gate_open() -> None:
    found = report([app("a"), app("b")], built("a", *GOOD), gate="research", fail_under=10)
    assert found.gate.status is GateStatus.NOT_EVALUATED
    assert found.gate.met is False
    assert found.gate.reasons == ("not every check of research was selected for b",)
    assert found.gate.percent is None


def test_a_check_that_was_not_selected_leaves_the_gate_open() -> None:
    found = report(
        [app()], [result()], gate="research", fail_under=1,
        info=run(checks_known=("build", "runtime")),
    )  # fmt: skip
    assert found.gate.reasons == ("research needs checks that were not selected: runtime",)


def test_a_level_whose_checks_do_not_exist_cannot_be_asked_for() -> None:
    found = report([app()], built("a", *GOOD), gate="preview", fail_under=1)
    assert found.gate.status is GateStatus.NOT_EVALUATED
    assert "do not exist here: typecheck, tests, connectivity" in found.gate.reasons[0]


def test_a_shard_alone_evaluates_no_gate() -> None:
    found = report(
        [app()], built("a", *GOOD), gate="research", fail_under=1, info=run(shard=(1, 2))
    )
    assert found.gate.reasons == (
        "this is shard 1 of 2: merge the shards with `pytest-dora merge`",
    )


def test_no_apps_are_no_verdict() -> None:
    found = report([], [], gate="research", fail_under=0)
    assert (found.gate.status, found.gate.met) == (GateStatus.NOT_EVALUATED, False)


def test_failed_generations_stay_in_the_denominator() -> None:
    lost = app("lost", path=None, generation=Generation(success=False))
    found = report([app("a"), lost], built("a", *GOOD), gate="research", fail_under=60)
    assert (found.gate.apps_total, found.gate.percent, found.gate.met) == (2, 50, False)
    assert found.apps[1].levels[Level.RESEARCH].reached is False


def test_a_fleet_of_failed_generations_reaches_nothing() -> None:
    lost = app("lost", path=None, generation=Generation(success=False))
    gate = report([lost], [], gate="research", fail_under=1).gate
    assert (gate.status, gate.percent, gate.met) == (GateStatus.EVALUATED, 0, False)


# --- waivers --------------------------------------------------------------------------------


def waived(expires: date, outcome: str = "failed") -> Report:
    waiver = Waiver(check="runtime", reason="known", expires=expires)
    return report(
        [app("a", waivers=(waiver,))], built("a", "passed", outcome), gate="research",
        fail_under=100,
    )  # fmt: skip


def test_a_waiver_satisfies_the_gate_and_is_shown() -> None:
    found = waived(date(2026, 1, 31))
    assert found.gate.met is True
    assert found.gate.apps_reaching_by_waiver == 1
    assert "1 of the 1 reach it through waivers" in found.gate.reasons
    assert found.apps[0].checks["runtime"].waived is True
    assert found.apps[0].checks["runtime"].outcome == "failed"
    assert found.apps[0].waivers[0].status == "applied"
    assert found.checks["runtime"].waived == 1


def test_an_expired_waiver_is_worth_nothing() -> None:
    found = waived(date(2026, 1, 30))
    assert found.gate.met is False
    assert found.apps[0].waivers[0].status == "expired"


@pytest.mark.parametrize("outcome", ["inconclusive", "crashed", "error", "not_run"])
def test_only_failures_can_be_waived(outcome: str) -> None:
    assert waived(date(2030, 1, 1), outcome).gate.met is False


def test_a_waiver_that_was_not_needed_is_unused() -> None:
    found = waived(date(2030, 1, 1), "passed")
    assert found.apps[0].waivers[0].status == "unused"
    assert found.gate.apps_reaching_by_waiver == 0


# --- levels ---------------------------------------------------------------------------------


def test_research_does_without_runability_until_there_is_such_a_check() -> None:
    found = report([app()], built("a", *GOOD))
    assert found.apps[0].level is Level.RESEARCH
    definition = found.levels[0]
    assert definition.requirements == ("build", "runtime")
    assert definition.available is True
    assert definition.reason == "runability is not asked for: there is no such check here yet"


def test_research_asks_for_runability_once_it_exists() -> None:
    known = run(checks_known=("build", "runtime", "runability"))
    found = report([app()], built("a", *GOOD), info=known)
    assert found.apps[0].level is None
    assert found.apps[0].levels[Level.RESEARCH].reached is None
    assert found.apps[0].level_reason == "needs checks that were not selected: runability"
    scored = result("a", "runability", "failed", verified_score=2)
    assert report([app()], [*built("a", *GOOD), scored], info=known).apps[0].level == "research"


def test_levels_that_cannot_be_judged_are_null_with_a_reason() -> None:
    found = report([app()], built("a", *GOOD))
    status = found.apps[0].levels[Level.PRODUCTION_CANDIDATE]
    assert status.reached is None
    assert status.reason is not None
    assert "do not exist here" in status.reason
    assert found.apps[0].deployable is None
    assert found.levels[2].available is False


def test_an_app_that_has_everything_is_deployable() -> None:
    found = report([app("a", generation=GENERATED)], ready("a"))
    assert found.apps[0].level is Level.PRODUCTION_CANDIDATE
    assert found.apps[0].deployable is True
    assert found.apps[0].next_level_needs == ()
    assert found.apps[0].levels[Level.PREVIEW] == LevelStatus(reached=True)


@pytest.mark.parametrize(
    ("scores", "level", "need"),
    [
        ({"runability": 1}, None, "runability: 2 of 5 needed, 1 verified"),
        ({"runability": 2}, "research", "runability: 3 of 5 needed, 2 verified"),
        ({"deployability": 3}, "preview", "deployability: 4 of 5 needed, 3 verified"),
        ({"observability": 3}, "preview", "observability: 4 of 5 needed, 3 verified"),
    ],
)
def test_scores_decide_the_level(scores: dict[str, int], level: str | None, need: str) -> None:
    found = report([app("a", generation=GENERATED)], ready("a", **scores)).apps[0]
    assert found.level == level
    assert found.next_level_needs == (need,)


def test_only_verified_scores_count() -> None:
    claimed = [
        one.model_copy(update={"verified_score": 0}) if one.check_id == "observability" else one
        for one in ready("a")
    ]
    found = report([app("a", generation=GENERATED)], claimed).apps[0]
    assert found.level is Level.PREVIEW
    assert found.checks["observability"].score == 5


def test_a_score_that_could_not_be_judged_does_not_satisfy() -> None:
    unsure = [
        one.model_copy(update={"outcome": "inconclusive"}) if one.check_id == "runability" else one
        for one in ready("a")
    ]
    assert report([app("a", generation=GENERATED)], unsure).apps[0].level is None


def test_a_production_candidate_is_made_within_ten_minutes() -> None:
    slow = GENERATED.model_copy(update={"seconds": 600})
    found = report([app("a", generation=slow)], ready("a")).apps[0]
    assert found.level is Level.PREVIEW
    assert found.next_level_needs == ("lead time: 632 s, at most 600 s allowed",)
    unknown = report([app("a")], ready("a")).apps[0]
    assert unknown.next_level_needs == ("lead time: unknown (generation not known)",)
    human = report([app("a", origin="human")], ready("a")).apps[0]
    assert human.level is Level.PRODUCTION_CANDIDATE


def test_a_failing_first_level_hides_no_later_one() -> None:
    results = [
        one.model_copy(update={"outcome": "failed"}) if one.check_id == "tests" else one
        for one in ready("a")
    ]
    found = report([app("a", generation=GENERATED)], results).apps[0]
    assert found.level is Level.RESEARCH
    assert found.next_level_needs == ("tests: failed",)
    assert set(ALL_CHECKS) == set(found.checks)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.checks.registry import EVERY_PROFILE, CheckSpec
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.model.settings import Level, Profile, Settings
from pytest_dora.plugin import selection


def _run(_session: object) -> CheckResult:
    return CheckResult(app_id="app", check_id="check", outcome=Outcome.PASSED)


BUILD = CheckSpec("build", _run, "", profiles=EVERY_PROFILE)
TESTS = CheckSpec("tests", _run, "")
LOAD = CheckSpec("load", _run, "", profiles=frozenset({Profile.FULL}))
SPECS = (BUILD, TESTS, LOAD)


def ids(specs: tuple[CheckSpec, ...]) -> list[str]:
    return [spec.id for spec in specs]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [("smoke", ["build"]), ("standard", ["build", "tests"]), ("full", ["build", "tests", "load"])],
)
def test_a_profile_has_its_checks(profile: str, expected: list[str]) -> None:
    assert ids(selection.made_items(SPECS, Settings(profile=Profile(profile)))) == expected


def test_a_check_that_is_named_is_made_whatever_the_profile() -> None:
    settings = Settings(checks=("load",))
    specs = selection.made_items(SPECS, settings)
    assert ids(specs) == ["build", "tests", "load"]
    assert selection.selected_checks(specs, settings) == {"load"}


def test_an_app_is_selected_by_id_pattern_or_name_in_node_ids() -> None:
    apps = ["shop", "shop-2", "we ird", "[x]"]
    for patterns, expected in [
        (("shop",), {"shop"}),
        (("shop*",), {"shop", "shop-2"}),
        (("we%20ird", "[x]"), {"we ird", "[x]"}),
        ((), set(apps)),
    ]:
        assert selection.selected_apps(apps, Settings(apps=patterns)) == expected


def test_one_pattern_of_several_that_fits_nothing_is_a_mistake() -> None:
    with pytest.raises(pytest.UsageError, match="no app 'shpo'; did you mean 'shop'"):
        selection.selected_apps(["shop", "blog"], Settings(apps=("blog", "shpo")))


@given(st.sets(st.text(min_size=1), max_size=30), st.integers(1, 9))
def test_shards_are_disjoint_and_complete(apps: set[str], count: int) -> None:
    parts = [
        selection.selected_apps(sorted(apps), Settings(shard=(index, count)))
        for index in range(1, count + 1)
    ]
    assert sum(len(part) for part in parts) == len(apps)
    assert frozenset().union(*parts) == apps
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_filter_does_not_move_an_app_to_another_shard() -> None:
    apps = ["a", "b", "c", "d"]
    whole = selection.selected_apps(apps, Settings(shard=(1, 2)))
    part = selection.selected_apps(apps, Settings(shard=(1, 2), apps=("b", "c")))
    assert part == whole & {"b", "c"}


def test_a_level_whose_checks_are_left_out_is_refused() -> None:
    known, gated = ["build", "runtime", "tests"], Settings(gate=Level.RESEARCH, fail_under=50)
    selection.refuse_unreachable_level(gated, known, {"build", "runtime"})
    selection.refuse_unreachable_level(Settings(), known, {"tests"})
    with pytest.raises(pytest.UsageError, match="needs runtime, which --dora-check leaves out"):
        selection.refuse_unreachable_level(
            gated.model_copy(update={"checks": ("build",)}), known, {"build"}
        )
    preview = Settings(gate=Level.PREVIEW, profile=Profile.SMOKE)
    with pytest.raises(pytest.UsageError, match="needs tests, which the smoke profile leaves out"):
        selection.refuse_unreachable_level(preview, known, {"build", "runtime"})


@pytest.mark.parametrize("selection_typed", ["::nope", "::shop::nope", "::shop::build::more"])
def test_typed_ids_must_exist(selection_typed: str) -> None:
    with pytest.raises(pytest.UsageError):
        selection.refuse_unknown_ids([selection_typed], ["shop"], SPECS)
    selection.refuse_unknown_ids(["", "::shop", "::shop::build"], ["shop"], SPECS)

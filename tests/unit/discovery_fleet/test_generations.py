"""What generating an app took: joined to the right app, never lost, never taken from a claim."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_dora.discovery.fleet import FleetError, find_fleet
from pytest_dora.discovery.generations import (
    attach_generations,
    find_generation_files,
    read_claimed,
)
from pytest_dora.model.app import App, Generation
from pytest_dora.model.fleet import Fleet


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    for name in ("shop", "blog"):
        (tmp_path / "apps" / name).mkdir(parents=True)
    return tmp_path / "apps"


def result(app_dir: str | None = None, *, success: bool = True, **more: Any) -> dict[str, Any]:
    metrics = {
        "cost_usd": 0.25, "input_tokens": 1000, "output_tokens": 500, "turns": 12,
        "generation_time_sec": 90.5, "app_dir": app_dir,
    }  # fmt: skip
    found = {"prompt": "a shop", "success": success, "metrics": metrics, "error": None}
    return {**found, "app_dir": app_dir, "backend": "cli", "model": "m-1", **more}


def write(apps: Path, content: Any, name: str = "bulk_run_results_20260101_100000.json") -> Path:
    path = apps / name
    path.write_text(json.dumps(content, indent=2))
    return path


def attached(apps: Path, *files: Path) -> dict[str, App]:
    fleet = attach_generations(find_fleet([apps]), files)
    return {app.app_id: app for app in fleet.apps}


def told(app: App) -> Generation:
    assert app.generation is not None
    return app.generation


@pytest.mark.parametrize(
    "app_dir", ["shop", "./shop", "/somewhere/else/app/shop", "{apps}/shop", "../apps/shop/"]
)
def test_a_result_joins_the_app_whose_folder_it_names(apps: Path, app_dir: str) -> None:
    found = attached(apps, write(apps, [result(app_dir.format(apps=apps))]))
    assert told(found["shop"]) == Generation(
        prompt="a shop", success=True, backend="cli", seconds=90.5, cost_usd=0.25,
        input_tokens=1000, output_tokens=500, turns=12, attempts=1, attempts_cost_usd=0.25,
        source="bulk_run_results_20260101_100000.json#1",
    )  # fmt: skip
    assert found["shop"].model == "m-1"
    assert found["shop"].generator == "cli"
    assert found["blog"].generation is None


def test_the_folder_may_stand_in_the_metrics_alone(apps: Path) -> None:
    entry = result("shop")
    del entry["app_dir"]
    assert told(attached(apps, write(apps, [entry]))["shop"]).cost_usd == 0.25


def test_a_wrapped_file_lends_its_metadata(apps: Path) -> None:
    entry = result("shop", backend=None, model=None)
    content = {"metadata": {"backend": "api", "model": "m-9"}, "results": [entry]}
    found = attached(apps, write(apps, content))
    assert found["shop"].model == "m-9"
    assert told(found["shop"]).backend == "api"


def test_the_newest_file_and_the_last_entry_win_and_all_cost_counts(apps: Path) -> None:
    new = write(apps, [result("shop", prompt="n1"), result("shop", prompt="n2")],
                "bulk_run_results_20260301_000000.json")  # fmt: skip
    old = write(apps, [result("shop", prompt="old")], "bulk_run_results_20260201_000000.json")
    generation = told(attached(apps, new, old)["shop"])
    assert generation.prompt == "n2"
    assert generation.cost_usd == 0.25
    assert generation.attempts == 3
    assert generation.attempts_cost_usd == 0.75


def test_a_file_without_a_time_in_its_name_is_as_old_as_it_is(apps: Path) -> None:
    undated = write(apps, [result("shop", prompt="undated")], "bulk_run_results_x.json")
    os.utime(undated, (0, 0))
    dated = write(apps, [result("shop", prompt="dated")])
    assert told(attached(apps, undated, dated)["shop"]).prompt == "dated"


def test_failed_generations_without_a_folder_become_apps(apps: Path) -> None:
    failed = result(None, success=False, error="out of turns", metrics=None)
    found = attached(apps, write(apps, [result("shop"), failed, failed]))
    lost = [app for app in found.values() if app.path is None]
    assert len(lost) == 2
    assert {told(app).error for app in lost} == {"out of turns"}
    assert set(found) >= {"shop", "blog"}


def test_a_failed_generation_keeps_the_name_of_its_missing_folder(apps: Path) -> None:
    found = attached(apps, write(apps, [result("/x/gone", success=False)]))
    assert found["gone"].path is None
    assert told(found["gone"]).attempts_cost_usd == 0.25


def test_a_failed_generation_with_a_folder_is_that_app(apps: Path) -> None:
    found = attached(apps, write(apps, [result("shop", success=False)]))
    assert told(found["shop"]).success is False
    assert len(found) == 2


def test_a_successful_generation_without_an_app_is_noted(apps: Path) -> None:
    fleet = attach_generations(find_fleet([apps]), [write(apps, [result("elsewhere")])])
    assert len(fleet.apps) == 2
    assert "bulk_run_results_20260101_100000.json:2: no app has" in fleet.notes[0]


def test_a_prompt_joins_only_when_it_is_unique(apps: Path) -> None:
    fleet = Fleet(
        apps=(
            App(app_id="a", path=apps / "shop", prompt_id="a shop"),
            App(app_id="b", path=apps / "blog", prompt_id="a blog"),
        )
    )
    once = write(apps, [result(None)])
    assert attach_generations(fleet, [once]).apps[0].generation is not None
    twice = write(apps, [result(None), result(None)])
    assert attach_generations(fleet, [twice]).apps[0].generation is None


def test_a_name_that_fits_two_apps_is_refused(tmp_path: Path) -> None:
    for root in ("old", "new"):
        (tmp_path / root / "shop").mkdir(parents=True)
    fleet = find_fleet([tmp_path / "old", tmp_path / "new"])
    file = write(tmp_path, [result("/generated/shop")])
    with pytest.raises(FleetError, match=r"json:2: app_dir .* fits 'new/shop' and 'old/shop'"):
        attach_generations(fleet, [file])
    exact = write(tmp_path, [result(str(tmp_path / "old" / "shop"))])
    found = attach_generations(fleet, [exact])
    assert [app.generation is not None for app in found.apps] == [False, True]


def test_the_evaluators_own_words_are_kept(apps: Path) -> None:
    fleet = Fleet(
        apps=(App(app_id="s", path=apps / "shop", model="x", generation=Generation(seconds=5)),)
    )
    app = attach_generations(fleet, [write(apps, [result("shop")])]).apps[0]
    assert (app.model, told(app).seconds, told(app).cost_usd) == ("x", 5, 0.25)


def test_attaching_twice_changes_nothing(apps: Path) -> None:
    file = write(apps, [result("shop"), result("shop"), result(None, success=False)])
    once = attach_generations(find_fleet([apps]), [file])
    assert attach_generations(once, [file]) == once


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{\n", r":\d: no valid JSON"),
        ("3", ":1: must be a list of results"),
        ('{"metadata": {}}', ":1: must be a list of results"),
        ('[\n {"success": true},\n 7]', ":3: a result must be an object"),
        ('[\n {"prompt": "x"}]', ":2: a result needs success"),
        ('[\n {"success": true, "app_dir": 7}]', ":2: app_dir must be a string"),
        ('{"results": [\n {"success": true,\n "metrics": {"turns": -1}}]}', ":2: turns: "),
        ('[{"success": true, "metrics": {"cost_usd": NaN}}]', ":1: cost_usd: "),
    ],
)
def test_a_bad_file_is_told_with_its_line(apps: Path, text: str, message: str) -> None:
    path = apps / "bulk_run_results_1.json"
    path.write_text(text)
    with pytest.raises(FleetError, match=r"bulk_run_results_1\.json" + message):
        attach_generations(find_fleet([apps]), [path])


def test_generation_files_are_found_in_folders_of_apps_only(apps: Path) -> None:
    file = write(apps, [])
    inside = apps / "shop"
    (inside / "package.json").write_text("{}")
    write(inside, [])
    assert find_generation_files([apps, inside, apps]) == (file,)


def test_what_an_app_claims_is_marked_as_a_claim(apps: Path) -> None:
    (apps / "shop" / "generation_metrics.json").write_text(
        '{"cost_usd": 1.5, "turns": -3, "input_tokens": 10, "generation_time_sec": "soon"}'
    )
    assert read_claimed(apps / "shop") == Generation(
        cost_usd=1.5, input_tokens=10, claimed=True, source="generation_metrics.json"
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", "{" * 100_000, '{"turns": "x"}', "\xff"])
def test_a_senseless_claim_is_none(apps: Path, text: str) -> None:
    (apps / "shop" / "generation_metrics.json").write_text(text, encoding="latin-1")
    assert read_claimed(apps / "shop") is None


def test_a_claim_is_never_read_through_a_link_or_a_pipe(apps: Path) -> None:
    (apps / "secret.json").write_text('{"turns": 3}')
    (apps / "shop" / "generation_metrics.json").symlink_to(apps / "secret.json")
    os.mkfifo(apps / "blog" / "generation_metrics.json")
    assert read_claimed(apps / "shop") is None
    assert read_claimed(apps / "blog") is None

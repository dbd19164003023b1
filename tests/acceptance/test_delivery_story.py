"""Three versions of an app are generated, evaluated and deployed; one fails and is rolled back.

Every number that is told of it in the end follows by hand from the times in this file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

NOW = datetime.now(UTC).replace(microsecond=0)
START = NOW - timedelta(days=10)
WAYS = {"serial": (), "two-workers": ("-n", "2")}


class Shop:
    """The evaluator's folder: one app that becomes better, and one that never worked."""

    def __init__(self, root: Path, ways: tuple[str, ...]) -> None:
        self.root, self.ways = root, ways
        (root / "pyproject.toml").write_text(
            "[tool.pytest.ini_options]\n[tool.pytest-dora.limits]\nsoak_seconds = 0.2\n"
        )
        broken = root / "apps" / "broken"
        broken.mkdir(parents=True)
        (broken / "notes.txt").write_text("the model gave up here\n")
        (root / "apps" / "shop").mkdir()

    def evaluate(self, version: str, prompted: datetime, took: timedelta, usd: float) -> Path:
        """A new tree of the shop, judged; the report of that run."""
        (self.root / "apps/shop/index.html").write_text(f"<h1>the shop, {version}</h1>\n")
        (self.root / "fleet.toml").write_text(
            f"""
            [[app]]
            path = "apps/shop"
            id = "shop"
            [app.generation]
            success = true
            started_at = {prompted.isoformat()}
            finished_at = {(prompted + took).isoformat()}
            cost_usd = {usd}
            [[app]]
            path = "apps/broken"
            id = "broken"
            """
        )
        plugins = ("-p", "xdist", "-p", "pytest_dora.plugin")
        out = self.root / f"out-{version}"
        self.call(
            "pytest", *plugins, "--dora", "fleet.toml", "--dora-profile", "smoke",
            "--dora-store", "events.db", "--dora-output", str(out), *self.ways, status=1,
        )  # fmt: skip
        return out / "report.json"

    def pytest_dora(self, *arguments: object) -> str:
        return self.call("pytest_dora.cli", *(str(one) for one in arguments))

    def call(self, module: str, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.root,
            env={
                **os.environ,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTEST_DORA_STORE": "events.db",
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=240,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def deploy(
        self, report: Path, version: str, began: datetime, ended: datetime, *more: str
    ) -> None:
        self.pytest_dora(
            "record", "deployment", "--report", report, "--app", "shop", "--version", version,
            "--environment", "production", "--started", began.isoformat(),
            "--finished", ended.isoformat(), *more,
        )  # fmt: skip


def minutes(days: int, count: int) -> datetime:
    return START + timedelta(days=days, minutes=count)


@pytest.fixture(params=WAYS, scope="module")
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the command says in the end, what the last report says, and what was printed."""
    shop = Shop(tmp_path_factory.mktemp("story"), WAYS[request.param])
    first = shop.evaluate("v1", START, timedelta(minutes=5), 0.40)
    shop.deploy(first, "v1", minutes(0, 10), minutes(0, 12), "--method", "automated")
    second = shop.evaluate("v2", minutes(2, 0), timedelta(minutes=4), 0.30)
    shop.deploy(second, "v2", minutes(2, 8), minutes(2, 10), "--method", "automated")
    shop.pytest_dora(
        "record", "incident", "--app", "shop", "--id", "checkout-down", "--kind", "outage",
        "--started", minutes(2, 30).isoformat(), "--detected", minutes(2, 35).isoformat(),
        "--caused-by-version", "v2",
    )  # fmt: skip
    shop.deploy(
        first, "v1", minutes(2, 58), minutes(2, 60), "--method", "manual", "--rollback"
    )  # fmt: skip
    shop.pytest_dora(
        "record", "incident", "--app", "shop", "--id", "checkout-down",
        "--diagnosed", minutes(2, 45).isoformat(), "--fix-deployed", minutes(2, 60).isoformat(),
        "--resolved", minutes(2, 62).isoformat(),
    )  # fmt: skip
    third = shop.evaluate("v3", minutes(5, 0), timedelta(minutes=6), 0.50)
    shop.deploy(third, "v3", minutes(5, 15), minutes(5, 20), "--method", "automated")
    # what is told of the whole story is in the report of the next run, too
    last = shop.evaluate("v4", minutes(9, 0), timedelta(minutes=1), 0.80)
    printed = shop.pytest_dora("metrics", "--fleet", "fleet.toml")
    now = (NOW + timedelta(hours=1)).isoformat()
    shop.pytest_dora("metrics", "--fleet", "fleet.toml", "--now", now, "--json", "told.json")
    return (
        json.loads((shop.root / "told.json").read_text()),
        json.loads(last.read_text()),
        printed,
    )


def test_deployment_frequency_is_four_in_ten_days(told: Any) -> None:
    found = told[0]["dora_metrics"]["deployment_frequency"]
    days = 10 + 1 / 24
    assert found["deployments"] == 4
    # the broken app was never deployed and is in no denominator
    assert found["deployments_per_week"] == pytest.approx(4 / days * 7)
    assert (found["basis"], found["samples"]) == ("observed", 4)
    assert found["deploy_failure_rate"]["value"] == 0
    assert found["trend"] == "insufficient_data"
    # Garwood's interval for 4 is 1.0899 to 10.2416
    assert found["ci95"] == pytest.approx([1.0899 / days * 7, 10.2416 / days * 7], rel=1e-3)
    # two days less two minutes, 50 minutes, three days less 40 minutes
    assert found["hours_between"]["value"] == pytest.approx(48 - 2 / 60)
    assert found["median_of_apps"]["value"] == found["deployments_per_week"]


def test_lead_time_is_from_prompt_to_production_and_its_parts_add_up(told: Any) -> None:
    found = told[0]["dora_metrics"]["lead_time_for_changes"]
    assert (found["definition"], found["samples"]) == ("prompt_to_production", 3)
    assert found["median_seconds"] == 12 * 60
    assert found["mean_seconds"] == (12 + 10 + 20) / 3 * 60
    parts = {name: seconds / 60 for name, seconds in found["breakdown"].items()}
    assert parts == {
        "generation": (5 + 4 + 6) / 3,
        "build": 0,
        "pipeline": 0,
        "deploy": (2 + 2 + 5) / 3,
        "unattributed": (5 + 4 + 9) / 3,
    }
    assert sum(parts.values()) == found["mean_seconds"] / 60


def test_recovery_is_told_from_the_incident_and_from_the_deployment(told: Any) -> None:
    found = told[0]["dora_metrics"]["mttr_minutes"]
    assert (found["median"], found["mean"], found["open"], found["samples"]) == (32, 32, 0, 1)
    parts = [found[name]["value"] for name in ("detect", "diagnose", "fix")]
    assert parts == [5, 10, 15]
    assert found["failed_deployment_recovery"]["value"] == 62 - 10


def test_one_of_four_deployments_failed_and_half_of_the_bad_trees_were_caught(told: Any) -> None:
    found = told[0]["dora_metrics"]["change_failure_rate"]
    assert (found["failed"], found["sound"], found["pending"]) == (1, 3, 0)
    assert (found["percentage"], found["evidence"]) == (25, {"explicit": 1})
    assert found["unattributed_incidents"] == 0
    assert forecasts_of(found) == (0, 0)
    assert found["ci95"] == pytest.approx([4.559, 69.936], abs=1e-3)
    assert (found["pre_deployment_catches"], found["post_deployment_failures"]) == (50, 50)
    forecasts = found["forecasts"]
    assert (forecasts["missed"], forecasts["sound"]) == (1, 3)
    assert forecasts["brier"]["value"] == 0.25
    assert found["band"]["band"] is None


def forecasts_of(found: dict[str, Any]) -> tuple[float, int]:
    """Recall, and how many were foretold: the one that failed was not."""
    forecasts = found["forecasts"]
    return forecasts["recall"]["value"], forecasts["precision"]["samples"]


def test_the_rollback_was_rework_and_the_only_deployment_by_hand(told: Any) -> None:
    assert told[0]["dora_metrics"]["deployment_rework_rate"]["percentage"] == 25
    touch = told[0]["touch"]
    assert (touch["zero_touch_rate"]["value"], touch["manual"]) == (75, 1)


def test_the_cost_of_all_generations_is_shared_out_among_the_deployments(told: Any) -> None:
    cost = told[0]["cost"]
    assert cost["total"]["value"] == pytest.approx(2.0)
    assert cost["per_deployment"]["value"] == pytest.approx(0.5)


def test_an_app_has_its_records_and_its_place_on_the_axis(told: Any) -> None:
    shop = next(one for one in told[0]["apps"] if one["app_id"] == "shop")
    assert (shop["axis"]["state"], shop["axis"]["judged"], shop["axis"]["failed"]) == (
        "unproven", 4, 1,
    )  # fmt: skip
    assert shop["last_deployment"] == {
        "deployment_timestamp": minutes(5, 20).isoformat(),
        "deployment_environment": "production",
        "deployment_method": "automated",
        "deployment_duration_sec": 300,
        "previous_version": "v1",
        "rollback_available": True,
    }
    assert shop["lead_time"]["total_lead_time_sec"] == 20 * 60
    reliability = shop["reliability_30d"]
    assert (reliability["deployments_last_30d"], reliability["failed_deployments"]) == (4, 1)
    assert (reliability["incidents_last_30d"], reliability["mttr_minutes"]) == (1, 32)
    assert (reliability["change_failure_rate"], reliability["uptime_pct"]) == (0.25, None)
    broken = next(one for one in told[0]["apps"] if one["app_id"] == "broken")
    assert broken["dora_metrics"]["deployment_frequency"]["reason"] == "not_observed"


def test_the_report_of_the_next_run_says_the_same_beside_its_estimates(told: Any) -> None:
    metrics, report = told[0]["dora_metrics"], told[1]
    assert report["dora_metrics"]["change_failure_rate"]["percentage"] == 25
    assert report["dora_metrics"]["change_failure_rate"]["estimated"]["percentage"] == 50
    assert report["dora_metrics"]["lead_time_for_changes"]["basis"] == "observed"
    assert report["dora_metrics"]["mttr_minutes"]["median"] == metrics["mttr_minutes"]["median"]
    assert report["production"]["axis"] == {"unproven": 2}
    apps = {app["app_id"]: app["production"] for app in report["apps"]}
    assert apps["shop"]["last_deployment"]["previous_version"] == "v1"


def test_a_person_reads_each_number_with_its_interval_and_its_samples(told: Any) -> None:
    printed = told[2]
    assert "deployment frequency            2.8 per app and week" in printed
    assert "change failure rate             25 % [4.56 to 69.9], n=4" in printed
    assert "time to restore                 32 minutes, n=1" in printed
    assert "uptime                          - (not_observed)" in printed

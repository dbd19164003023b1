"""A run with a store of delivery events: what it adds there, and what it is told."""

from __future__ import annotations

import pytest

from pytest_dora.delivery.store import Store
from tests.acceptance.plugin.project import FAKE, MODES, Project


@pytest.mark.parametrize("mode", MODES)
def test_every_way_of_running_records_the_same(project: Project, mode: str) -> None:
    project.app("good")
    project.app("bad", alpha={"outcome": "failed", "reason": "build_failed"})
    ran = project.run("apps", *FAKE, "--dora-store", "events.db", *MODES[mode])
    assert ran.status == 1, ran.text
    assert "recorded in" in ran.text
    assert "production, " in ran.text
    with Store.open(project.root / "events.db") as store:
        told = [(event.app_id, event.body.kind) for event in store.read()]
    assert sorted(told) == [("bad", "verdict"), ("good", "verdict")]
    assert {app["app_id"]: app["production"]["axis"]["reason"] for app in ran.report["apps"]} == {
        "bad": "not_observed",
        "good": "not_observed",
    }
    assert "Observed: production, " in (project.root / ".dora/report.md").read_text()


def test_without_a_store_nothing_is_recorded_and_nothing_is_observed(project: Project) -> None:
    project.app("good")
    ran = project.run("apps", *FAKE)
    assert ran.report["production"] is None
    assert ran.report["apps"][0]["production"] is None


@pytest.mark.parametrize(
    ("url", "said"),
    [("apps", "is a folder"), ("mysql://h/x", "mysql"), ("gone/events.db", "there is no folder")],
)
def test_a_store_that_cannot_be_used_is_told_before_anything_is_evaluated(
    project: Project, url: str, said: str
) -> None:
    project.app("good")
    ran = project.run("apps", *FAKE, "--dora-store", url)
    assert ran.status == 4, ran.text
    assert "--dora-store: " in ran.text
    assert said in ran.text
    assert project.asked == []


def test_a_store_that_goes_away_fails_the_run_and_leaves_its_report(project: Project) -> None:
    project.app("good")
    (project.root / "conftest.py").write_text(
        (project.root / "conftest.py").read_text()
        + """
def pytest_runtest_teardown(item):
    import pathlib
    pathlib.Path("events.db").write_bytes(b"no database any more" * 500)
"""
    )
    ran = project.run("apps", *FAKE, "--dora-store", "events.db")
    assert ran.status == 1, ran.text
    assert "events.db" in ran.text
    assert ran.report["status"] == "finished"
    assert ran.report["production"] is None

"""A store as a whole: apps that have nothing to do with one another, and how far collectors read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from pytest_dora.delivery.policy import Policy, Window
from pytest_dora.delivery.production import Owners, production
from pytest_dora.delivery.store import Progress, Store
from pytest_dora.model.events import Event
from pytest_dora.model.production import AppProduction, Production
from tests.unit.delivery.facts import at, deployed, incident

MONTH = Window(at(), at(28))
NOW = at(28)


def told(
    folder: Path,
    events: Sequence[Event],
    progress: Sequence[Progress] = (),
    *,
    now: datetime = NOW,
    apps: Sequence[str] | None = None,
    owners: Owners | None = None,
) -> Production:
    with Store.open(folder / "events.db") as store:
        store.append(events)
        for one in progress:
            store.append((), one)
        return production(store, MONTH, now, Policy(), owners, apps)


def app(found: Production, name: str = "shop") -> AppProduction:
    return next(one for one in found.apps if one.app_id == name)


def reason(found: Production) -> str | None:
    return app(found).dora_metrics.change_failure_rate.reason


def test_incidents_of_another_app_say_nothing_of_this_one(tmp_path: Path) -> None:
    events = [*deployed("v1", at(1)), incident("i", at(3), at(4), app="other")]
    found = told(tmp_path, events)
    assert reason(found) == "incidents_not_observed"
    alone = tmp_path / "alone"
    alone.mkdir()
    assert app(told(alone, events[:2])) == app(found)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress("alertmanager", "http://m (shop)", {}, at(28)), None),
        (Progress("alertmanager", "http://m (shop)", {}, at(9)), "incidents_not_observed"),
        (Progress("alertmanager", "http://m (other)", {}, at(28)), "incidents_not_observed"),
        (Progress("alertmanager", "http://m (shop)", {}, None), "incidents_not_observed"),
        (Progress("github", "http://m (shop)", {}, at(28)), "incidents_not_observed"),
        (Progress("databricks", "shop (shop)", {}, at(28)), "incidents_not_observed"),
        (Progress("datadog", "shop (shop)", {}, at(28)), "incidents_not_observed"),
    ],
)
def test_a_collector_that_reads_an_apps_alerts_would_tell_of_incidents(
    tmp_path: Path, progress: Progress, expected: str | None
) -> None:
    assert reason(told(tmp_path, deployed("v1", at(1)), [progress])) == expected


def test_what_a_collector_has_not_read_yet_is_not_counted_as_nothing(tmp_path: Path) -> None:
    events = [*deployed("v0", at(0), source="fly"), *deployed("v1", at(1), source="fly")]
    owners = Owners({"fly:shop": "shop"})
    half = told(tmp_path, events, [Progress("fly", "shop", {}, at(14))], owners=owners)
    frequency = app(half).dora_metrics.deployment_frequency
    assert frequency.deployments_per_week == pytest.approx(1)


def test_what_was_told_later_is_not_known_yet(tmp_path: Path) -> None:
    events = [*deployed("v1", at(1)), incident("i", at(2)), incident("i", None, at(20))]
    then = app(told(tmp_path, events, now=at(10))).dora_metrics.mttr_minutes
    assert (then.open, then.median) == (1, None)
    now = app(told(tmp_path, events)).dora_metrics.mttr_minutes
    assert (now.open, now.median) == (0, 18 * 24 * 60)


def test_every_app_that_is_asked_for_is_told_of_with_a_reason(tmp_path: Path) -> None:
    found = told(tmp_path, deployed("v1", at(1)), apps=["shop", "quiet"])
    assert [one.app_id for one in found.apps] == ["quiet", "shop"]
    metrics = app(found, "quiet").dora_metrics
    assert metrics.deployment_frequency.reason == "not_observed"
    assert metrics.lead_time_for_changes.reason == "not_observed"
    assert app(found, "quiet").axis.needed == 22


def test_a_breach_is_not_forgotten_with_its_month(tmp_path: Path) -> None:
    bad = [one for n in range(1, 11) for one in deployed(f"b{n}", at(-2 * n))]
    bad += [incident(f"i{n}", at(-2 * n, 1), at(-2 * n, 2)) for n in range(1, 11)]
    found = app(told(tmp_path, [*bad, *deployed("good", at(5))]))
    assert found.axis.state.value == "breached"
    assert found.dora_metrics.change_failure_rate.percentage == 0

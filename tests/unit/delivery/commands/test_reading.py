from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_dora.cli import main
from pytest_dora.delivery.store import Store
from pytest_dora.model.base import utc_now
from pytest_dora.model.events import (
    CostBody,
    DeploymentBody,
    DeploymentState,
    DeploymentStatusBody,
    Event,
)

Captured = pytest.CaptureFixture[str]
NOW = utc_now().replace(microsecond=0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in which a service that no app has was deployed two days ago."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_DORA_STORE", raising=False)
    moment = NOW - timedelta(days=2)
    bodies = (
        DeploymentBody(deployment="d", version="1"),
        DeploymentStatusBody(deployment="d", state=DeploymentState.SUCCESS),
        CostBody(category="deployment", usd=3, reference="d"),
    )
    with Store.open(tmp_path / "events.db") as opened:
        opened.append(
            Event(
                key=f"k{number}", source="record", service="fly:shop-prod", environment="production",
                occurred_at=moment, observed_at=NOW, body=body,
            )
            for number, body in enumerate(bodies)
        )  # fmt: skip
    return tmp_path


def test_the_fleet_file_says_whose_a_service_is(store: Path, capsys: Captured) -> None:
    (store / "shop").mkdir()
    (store / "fleet.toml").write_text('[[app]]\npath = "shop"\nfly = "shop-prod"\n')
    assert main(["metrics", "--store", "events.db", "--json", "-"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert (alone["apps"], alone["unjoined"]) == ([], {"fly:shop-prod": 3})
    assert main(["metrics", "--store", "events.db", "--fleet", "fleet.toml", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["app_id"] for one in told["apps"]] == ["shop"]
    assert told["dora_metrics"]["deployment_frequency"]["deployments"] == 1
    assert told["cost"]["per_deployment"]["value"] == 3
    assert told["unjoined"] == {}


def test_what_cannot_be_joined_is_told(store: Path, capsys: Captured) -> None:
    assert main(["metrics", "--store", "events.db"]) == 0
    assert "of services that no app has: 3 fly:shop-prod" in capsys.readouterr().out


def test_the_same_now_gives_the_same_numbers(store: Path, capsys: Captured) -> None:
    arguments = ["metrics", "--store", "events.db", "--now", NOW.isoformat(), "--json", "-"]
    texts = []
    for _ in range(2):
        assert main(arguments) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["metrics", "--store", "gone.db"], "there is no store"),
        (["metrics", "--store", "events.db", "--window", "a month"], "write 24h, 30d or 12w"),
        (["metrics", "--store", "events.db", "--now", "2026-01-01T00:00:00"], "zone"),
        (["metrics", "--store", "events.db", "--fleet", "gone.toml"], "gone.toml"),
        (["collect", "--store", "events.db", "--fleet", "gone.toml"], "gone.toml"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_4(
    store: Path, capsys: Captured, arguments: list[str], said: str
) -> None:
    assert main(arguments) == 4
    out = capsys.readouterr()
    assert said in out.err
    assert len(out.err.strip().splitlines()) == 1


def test_a_fleet_that_names_nothing_to_collect_says_what_to_write(
    store: Path, capsys: Captured
) -> None:
    (store / "shop").mkdir()
    (store / "fleet.toml").write_text('[[app]]\npath = "shop"\n')
    assert main(["collect", "--store", "events.db", "--fleet", "fleet.toml"]) == 4
    assert "write [[collect]]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[environments]\npages = "prod"\n', 2, "is no tier; tiers are production"),
        ('[[collect]]\ncollector = "github"\n', 1, "collect.scope: Field required"),
        ('[[collect]]\ncollector="a"\nscope="b"\napp="c"\n', 1, "names the app 'c'"),
    ],
)
def test_a_wrong_line_of_the_fleet_file_is_named(
    store: Path, capsys: Captured, text: str, line: int, said: str
) -> None:
    (store / "fleet.toml").write_text(text)
    assert main(["metrics", "--store", "events.db", "--fleet", "fleet.toml"]) == 4
    error = capsys.readouterr().err
    assert f"fleet.toml:{line}: " in error
    assert said in error

"""The evaluator's TOML: what it may say, how mistakes are told, and that we write it faithfully."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from pytest_dora.discovery.fleet import FleetError, find_fleet, load_fleet, write_fleet
from pytest_dora.model.app import App, Generation, Origin, ServiceNames, Waiver
from pytest_dora.model.fleet import Fleet
from tests.unit.discovery_fleet.strategies import fleets

FULL = """\
# what we know
[[app]]
id = "shop"
path = "apps/shop"
origin = "human"
generator = "builder"
model = "m-1"
prompt_id = "p7"
attempt = 2
expects = ["database"]
previous_version = "v1"
github = "owner/shop"
fly = "shop-fly"
databricks = "shop-dbx"

[app.generation]
seconds = 300
cost_usd = 0.5

[[app.waiver]]
check = "typecheck"
reason = "types of a dependency"
expires = 2027-01-31

[[app]]
path = "apps/blog"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("shop", "blog"):
        (tmp_path / "apps" / name).mkdir(parents=True)
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "fleet.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(FleetError) as caught:
        load_fleet(written(folder, text))
    message = str(caught.value)
    assert message.startswith(str(folder / "fleet.toml"))
    assert "\n" not in message
    return message.removeprefix(str(folder / "fleet.toml"))


def test_everything_that_can_be_said_is_read(folder: Path) -> None:
    fleet = load_fleet(written(folder, FULL))
    assert [app.app_id for app in fleet.apps] == ["apps/blog", "shop"]
    assert fleet.source == folder / "fleet.toml"
    assert fleet.apps[1] == App(
        app_id="shop",
        path=folder / "apps" / "shop",
        origin=Origin.HUMAN,
        generator="builder",
        model="m-1",
        prompt_id="p7",
        attempt=2,
        expects=("database",),
        previous_version="v1",
        services=ServiceNames(github="owner/shop", fly="shop-fly", databricks="shop-dbx"),
        waivers=(
            Waiver(check="typecheck", reason="types of a dependency", expires=date(2027, 1, 31)),
        ),
        generation=Generation(seconds=300, cost_usd=0.5),
    )


def test_what_toml_1_1_allows_is_allowed(folder: Path) -> None:
    text = '[[app]]\npath = "apps/shop"\ngeneration = {\n  seconds = 1.5,\n}\n'
    generation = load_fleet(written(folder, text)).apps[0].generation
    assert generation is not None
    assert generation.seconds == 1.5


def test_an_empty_file_has_no_apps(folder: Path) -> None:
    assert load_fleet(written(folder, "")).apps == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[app]]\nid = \n", ":2: "),
        ('[[app]]\npath = "apps/shop"\norigen = "ai"\n', (":3: unknown key 'origen' in [[app]]; "
         "did you mean 'origin'?")),
        ("apps = 1\n", ":1: unknown key 'apps' in a fleet file; did you mean 'app'?"),
        ('\n[project]\nname = "x"\n', ":2: unknown key 'project' in a fleet file"),
        ('[app]\npath = "apps/shop"\n', ":1: apps are tables: write [[app]]"),
        ('[[app]]\nid = "x"\n', ":2: an app needs a path"),
        ('[[app]]\n\npath = "apps/shup"\n', (":3: app folder apps/shup does not exist; paths are "
         "relative to the fleet file")),
        ('[[app]]\nid = ""\npath = "apps/shop"\n', ":2: an app needs an id"),
        ('[[app]]\nid = "a"\npath = "apps/shop"\n[[app]]\npath = "apps/blog"\nid = "a"\n',
         ":6: the app id 'a' is given twice"),
        ('[[app]]\npath = "apps/shop"\norigin = "robot"\n', ":3: app.origin: "),
        ('[[app]]\npath = "apps/shop"\n[[app]]\npath = "apps/blog"\nattempt = "two"\n',
         ":5: app.attempt: "),
        ('[[app]]\npath = "apps/shop"\n[[app.waiver]]\ncheck = "x"\nreason = "y"\n',
         ":3: app.waivers.0.expires: is missing"),
        (('[[app]]\npath = "apps/shop"\n[[app.waiver]]\ncheck = "x"\nreason = "y"\n'
         'expires = "soon"\n'), ":6: app.waivers.0.expires: "),
        ('[[app]]\npath = "apps/shop"\n[app.generation]\ncost = 3\n',
         ":4: app.generation.cost: unknown key"),
        ('[[app]]\npath = "apps/shop"\n[app.generation]\ncost_usd = -3\n',
         ":4: app.generation.cost_usd: "),
        ('generations = "x.json"\n', ":1: generations must be a list of strings"),
        ('[[app]]\npath = "apps/shop"\n', None),
        ('generations = ["missing.json"]\n', ":1: generation file "),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(folder: Path, text: str, message: str | None) -> None:
    if message is None:
        assert load_fleet(written(folder, text)).apps[0].app_id == "apps/shop"
    else:
        assert refusal(folder, text).startswith(message)


def test_a_binary_file_is_no_fleet_file(folder: Path) -> None:
    (folder / "fleet.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FleetError, match="is no fleet file"):
        load_fleet(folder / "fleet.toml")


def test_an_apps_own_file_is_no_fleet_file(folder: Path) -> None:
    (folder / "dora.toml").write_text("")
    with pytest.raises(FleetError, match="give the app's folder"):
        load_fleet(folder / "dora.toml")


def test_generation_files_are_read_beside_the_file(folder: Path) -> None:
    (folder / "g.json").write_text(
        '[{"prompt": "p", "success": true, "metrics": {"cost_usd": 2.0}, "app_dir": "apps/shop"}]'
    )
    text = 'generations = ["g.json"]\n[[app]]\npath = "apps/shop"\n'
    generation = load_fleet(written(folder, text)).apps[0].generation
    assert generation is not None
    assert generation.cost_usd == 2.0


@given(fleet=fleets)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_back(tmp_path: Path, fleet: Fleet) -> None:
    path = tmp_path / "out" / "fleet.toml"
    write_fleet(fleet, path)
    assert load_fleet(path) == fleet


def test_a_found_fleet_survives_the_file(folder: Path) -> None:
    (folder / "apps" / ".hidden").mkdir()
    fleet = find_fleet([folder / "apps"])
    write_fleet(fleet, folder / "out.toml")
    assert load_fleet(folder / "out.toml") == fleet


def test_undecodable_paths_survive_the_file(folder: Path) -> None:
    path = Path(folder / "apps" / "caf\udce9")
    path.mkdir()
    fleet = find_fleet([folder / "apps"])
    write_fleet(fleet, folder / "out.toml")
    assert load_fleet(folder / "out.toml") == fleet
    assert fleet.apps[1].path == path


def test_relative_paths_become_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    write_fleet(Fleet(apps=(App(app_id="x", path=Path("apps/shop")),)), folder / "out.toml")
    assert load_fleet(folder / "out.toml").apps[0].path == folder / "apps" / "shop"


def test_a_failed_write_leaves_the_old_file(folder: Path) -> None:
    path = folder / "out.toml"
    write_fleet(Fleet(notes=("old",)), path)
    with pytest.raises(UnicodeEncodeError):
        write_fleet(Fleet.model_construct(apps=(), source=None, roots=(), notes=("\ud800",)), path)
    assert load_fleet(path).notes == ("old",)
    assert [found.name for found in folder.iterdir() if found.is_file()] == ["out.toml"]

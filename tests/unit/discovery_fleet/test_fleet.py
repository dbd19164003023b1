"""Which folders are apps, what they are called, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_dora.discovery.fleet import FleetError, find_fleet


def make_app(folder: Path, manifest: str = "package.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / manifest).write_text("{}")
    return folder


def ids(*paths: Path) -> list[str]:
    return [app.app_id for app in find_fleet(paths).apps]


def test_each_direct_sub_folder_of_a_folder_without_manifest_is_an_app(tmp_path: Path) -> None:
    make_app(tmp_path / "apps" / "shop")
    (tmp_path / "apps" / "empty").mkdir()
    make_app(tmp_path / "apps" / "group" / "deep")
    (tmp_path / "apps" / "notes.txt").write_text("no app")
    fleet = find_fleet([tmp_path / "apps"])
    assert [app.app_id for app in fleet.apps] == ["empty", "group", "shop"]
    assert fleet.apps[2].path == tmp_path / "apps" / "shop"
    assert fleet.roots == (tmp_path / "apps",)
    assert fleet.source is None


@pytest.mark.parametrize(
    "manifest",
    ["package.json", "pyproject.toml", "requirements.txt", "go.mod", "composer.json", "Dockerfile",
     "app.yaml", "app.yml", "Procfile", "manage.py", "dora.toml", "index.html", "deno.json",
     "Gemfile"],
)  # fmt: skip
def test_a_folder_with_a_manifest_is_one_app(tmp_path: Path, manifest: str) -> None:
    make_app(tmp_path / "shop", manifest)
    make_app(tmp_path / "shop" / "client")
    assert ids(tmp_path / "shop") == ["shop"]


def test_a_backend_and_frontend_pair_is_one_app(tmp_path: Path) -> None:
    for part in ("backend", "frontend"):
        (tmp_path / "shop" / part).mkdir(parents=True)
    assert ids(tmp_path / "shop") == ["shop"]


def test_a_backend_alone_is_an_app_among_others(tmp_path: Path) -> None:
    for part in ("backend", "other"):
        (tmp_path / "apps" / part).mkdir(parents=True)
    assert ids(tmp_path / "apps") == ["backend", "other"]


def test_a_folder_called_like_a_manifest_is_none(tmp_path: Path) -> None:
    (tmp_path / "apps" / "Dockerfile").mkdir(parents=True)
    assert ids(tmp_path / "apps") == ["Dockerfile"]


def test_an_empty_folder_has_no_apps(tmp_path: Path) -> None:
    assert find_fleet([tmp_path]).apps == ()


def test_hidden_folders_are_left_out_and_noted(tmp_path: Path) -> None:
    (tmp_path / ".cache").mkdir()
    (tmp_path / "shop").mkdir()
    fleet = find_fleet([tmp_path])
    assert [app.app_id for app in fleet.apps] == ["shop"]
    assert fleet.notes == (f"hidden folder {tmp_path / '.cache'} ignored",)


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "it's",
        '"quoted"',
        "-rf",
        "--dora",
        "a::b",
        "[x]",
        "new\nline",
        "日本",
        "build",
        "%41",
    ],
)
def test_names_may_be_anything(tmp_path: Path, name: str) -> None:
    (tmp_path / "apps" / name).mkdir(parents=True)
    assert ids(tmp_path / "apps") == [name]


def test_undecodable_bytes_of_a_name_are_percent_encoded(tmp_path: Path) -> None:
    os.mkdir(os.path.join(os.fsencode(tmp_path), b"caf\xe9"))
    fleet = find_fleet([tmp_path])
    assert [app.app_id for app in fleet.apps] == ["caf%E9"]
    assert fleet.apps[0].path is not None
    assert fleet.apps[0].path.is_dir()


def test_two_spellings_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "caf\u00e9").mkdir()
    (tmp_path / "cafe\u0301").mkdir()
    with pytest.raises(FleetError, match=r"is taken by .*rename one, or give both an id"):
        find_fleet([tmp_path])


def test_several_roots_prefix_the_ids(tmp_path: Path) -> None:
    (tmp_path / "old" / "shop").mkdir(parents=True)
    (tmp_path / "new" / "shop").mkdir(parents=True)
    make_app(tmp_path / "single")
    found = ids(tmp_path / "old", tmp_path / "new", tmp_path / "single")
    assert found == ["new/shop", "old/shop", "single"]


def test_roots_of_one_name_with_equal_apps_are_refused(tmp_path: Path) -> None:
    for side in ("a", "b"):
        (tmp_path / side / "apps" / "shop").mkdir(parents=True)
    with pytest.raises(FleetError, match="'apps/shop' is taken"):
        find_fleet([tmp_path / "a" / "apps", tmp_path / "b" / "apps"])


def test_the_same_root_twice_is_one(tmp_path: Path) -> None:
    (tmp_path / "apps" / "shop").mkdir(parents=True)
    assert ids(tmp_path / "apps", tmp_path / "apps" / "." / "..", tmp_path / "apps") != []
    assert ids(tmp_path / "apps", tmp_path / "apps" / "shop" / "..") == ["shop"]


def test_an_app_given_beside_its_folder_is_evaluated_once(tmp_path: Path) -> None:
    make_app(tmp_path / "apps" / "shop")
    make_app(tmp_path / "apps" / "blog")
    fleet = find_fleet([tmp_path / "apps", tmp_path / "apps" / "shop"])
    assert [app.app_id for app in fleet.apps] == ["apps/blog", "apps/shop"]
    assert "evaluated once" in fleet.notes[0]


def test_a_relative_root_is_called_by_its_real_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_app(tmp_path / "shop"))
    assert ids(Path(".")) == ["shop"]


def test_links_out_of_the_root_are_refused_with_a_note(tmp_path: Path) -> None:
    make_app(tmp_path / "elsewhere")
    (tmp_path / "apps" / "shop").mkdir(parents=True)
    (tmp_path / "apps" / "outside").symlink_to(tmp_path / "elsewhere")
    fleet = find_fleet([tmp_path / "apps"])
    assert [app.app_id for app in fleet.apps] == ["shop"]
    assert "a link that leaves" in fleet.notes[0]


def test_links_that_loop_or_lead_nowhere_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "apps" / "shop").mkdir(parents=True)
    (tmp_path / "apps" / "self").symlink_to(".")
    (tmp_path / "apps" / "up").symlink_to("..")
    (tmp_path / "apps" / "knot").symlink_to("knot")
    (tmp_path / "apps" / "nowhere").symlink_to("missing")
    assert ids(tmp_path / "apps") == ["shop"]


def test_a_link_to_a_sibling_is_the_same_app(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "alias").symlink_to("shop")
    fleet = find_fleet([tmp_path])
    assert len(fleet.apps) == 1
    assert "evaluated once" in fleet.notes[0]


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="appz: no such folder or fleet file"):
        find_fleet([tmp_path / "appz"])


def test_a_file_that_is_no_fleet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello world\n")
    with pytest.raises(FleetError, match=r"notes.txt:1: .*a fleet file is TOML"):
        find_fleet([tmp_path / "notes.txt"])


def test_a_pipe_is_refused_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FleetError, match="neither a folder nor a fleet file"):
        find_fleet([tmp_path / "pipe"])


def test_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(FleetError, match="closed: cannot be read; give yourself read"):
            find_fleet([closed])
    finally:
        os.seteuid(user)


def test_folders_and_fleet_files_can_be_mixed(tmp_path: Path) -> None:
    make_app(tmp_path / "shop")
    (tmp_path / "apps" / "blog").mkdir(parents=True)
    (tmp_path / "fleet.toml").write_text('[[app]]\nid = "x/y"\npath = "shop"\n')
    fleet = find_fleet([tmp_path / "fleet.toml", tmp_path / "apps"])
    assert [app.app_id for app in fleet.apps] == ["blog", "x/y"]
    assert fleet.source is None
    assert find_fleet([tmp_path / "fleet.toml"]).source == tmp_path / "fleet.toml"

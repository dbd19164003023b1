from __future__ import annotations

from pathlib import Path

import pytest

from pytest_dora.plugin.arguments import inside, rewritten, tell_apart


def test_folders_fleet_files_and_tests_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    given = tell_apart(
        ["apps", "apps/", "fleet.toml::shop", "fleet.toml::blog", "test_x.py::test_y"], tmp_path
    )
    assert given.folders == (tmp_path / "apps",)
    assert given.fleet_files == (tmp_path / "fleet.toml",)
    assert given.selections == ("::shop", "::blog")
    assert given.ordinary == ("test_x.py::test_y",)


def test_a_folder_replaces_selections_and_tests_stay(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    fleet = tmp_path / ".dora/fleet.toml"
    both = tell_apart(["apps", "x.toml::shop", "test_x.py"], tmp_path)
    assert rewritten(both, fleet) == [str(fleet), "test_x.py"]
    part = tell_apart(["x.toml::shop"], tmp_path)
    assert rewritten(part, fleet) == [f"{fleet}::shop"]


def test_a_folder_with_a_selection_is_refused(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    with pytest.raises(pytest.UsageError, match="cannot be followed"):
        tell_apart(["apps::shop"], tmp_path)


def test_inside_is_told_through_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    (real / "app").mkdir(parents=True)
    link.symlink_to(real)
    assert inside(link / "app" / "x", [real]) == real
    assert inside(real / "app", [link]) == link
    assert inside(real, [real]) == real
    assert inside(tmp_path / "realistic", [real]) is None

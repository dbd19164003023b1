"""Where an app's tree is seen, and which of its words are paths into it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_dora.model.plan import Plan
from pytest_dora.model.settings import Settings
from pytest_dora.runtime.engine import Engine
from pytest_dora.runtime.sandbox.spec import Tier
from pytest_dora.runtime.view import WorkspaceView, workdir

SYSTEM = ["/", "", "//", "/usr", "/usr/", "/usr/src", "//usr", "/etc", "/bin", "/lib64", "/proc/self",
          "/dev", "/tmp", "/run/x", "/root", "/root/app", "/dora", "/dora-out", "/home/app", "/app/../usr",
          "/..", "relative", "$HOME"]  # fmt: skip


def view_of(workdir: str, tier: Tier, root: Path) -> WorkspaceView:
    engine = SimpleNamespace(tier=tier, cache=Path("/cache"), settings=Settings())
    return WorkspaceView(cast("Engine", engine), "app", Plan(workdir=workdir), root, ())


@pytest.mark.parametrize("wanted", SYSTEM)
def test_no_workdir_hides_what_the_sandbox_needs(wanted: str) -> None:
    assert workdir(Plan(workdir=wanted), Path("/work/tree"), Tier.BUBBLEWRAP) == "/app"


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [("/app", "/app"), ("/srv/shop/", "/srv/shop"), ("/code", "/code"), ("//srv//shop", "/srv/shop"), ("/home/node/app", "/home/node/app"),
     ("/opt/app", "/opt/app"), ("/var/www/html", "/var/www/html"), ("/workspace", "/workspace")],
)  # fmt: skip
def test_an_images_own_workdir_is_kept(wanted: str, seen: str) -> None:
    assert workdir(Plan(workdir=wanted), Path("/work/tree"), Tier.BUBBLEWRAP) == seen
    assert workdir(Plan(workdir=wanted), Path("/work/tree"), Tier.LANDLOCK) == "/work/tree"


def test_words_that_name_the_images_workdir_follow_the_tree(tmp_path: Path) -> None:
    view = view_of("/srv/shop", Tier.LANDLOCK, tmp_path)
    words = (
        "/srv/shop",
        "/srv/shop/x.py",
        "--dir=/srv/shop/y",
        "/srv/shopping",
        "a/srv/shop",
        "{workdir}/z",
    )
    here = str(tmp_path)
    assert view.fill(words) == (
        here, f"{here}/x.py", f"--dir={here}/y", "/srv/shopping", "a/srv/shop", f"{here}/z",
    )  # fmt: skip


def test_paths_of_the_system_stay_where_an_image_mixes_them_with_its_own(tmp_path: Path) -> None:
    view = view_of("/usr", Tier.BUBBLEWRAP, tmp_path)
    words = ("/usr/bin/env", "/usr/no-such-server.py", "/usr/local/bin:/usr/bin:/bin", "/usr")
    assert view.fill(words) == (
        "/usr/bin/env",
        "/app/no-such-server.py",
        "/usr/local/bin:/usr/bin:/bin",
        "/app",
    )
    path = view.environment(".", ".", None)["PATH"].split(":")
    assert "/usr/bin" in path
    assert not any(folder.startswith("/app/bin") for folder in path)

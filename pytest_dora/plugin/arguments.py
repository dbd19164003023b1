"""Positional arguments: folders of apps, fleet files and ordinary tests, told apart.

pytest takes the folders it is given for its own: it looks in them for configuration and imports
their conftest.py. Generated apps must get neither, so their folders never reach it as arguments.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

WAY_OUT = "`pytest-dora run PATH` judges it without reading that file"


@dataclass(frozen=True)
class Given:
    """What was typed. Paths are absolute; ``selections`` are what followed a fleet file's name."""

    folders: tuple[Path, ...] = ()
    fleet_files: tuple[Path, ...] = ()
    selections: tuple[str, ...] = ()
    """``""`` for a whole fleet file, ``"::shop::build"`` for a part of one."""
    ordinary: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return (*self.folders, *self.fleet_files)


def tell_apart(args: Iterable[str], here: Path) -> Given:
    """Sort arguments. Raises UsageError for a selection inside a folder."""
    folders: list[Path] = []
    fleet_files: list[Path] = []
    selections: list[str] = []
    ordinary: list[str] = []
    for arg in args:
        name, separator, rest = str(arg).partition("::")
        path = Path(os.path.abspath(here / name))
        if path.is_dir():
            if separator:
                raise pytest.UsageError(
                    f"{arg}: a folder cannot be followed by '::'; select with --dora-app and "
                    "--dora-check, or type an id of the fleet file"
                )
            folders.append(path)
        elif path.suffix == ".toml":
            fleet_files.append(path)
            selections.append(separator + rest)
        else:
            ordinary.append(str(arg))
    return Given(
        tuple(dict.fromkeys(folders)),
        tuple(dict.fromkeys(fleet_files)),
        tuple(dict.fromkeys(selections)),
        tuple(ordinary),
    )


def inside(path: Path, folders: Iterable[Path]) -> Path | None:
    """The folder that holds ``path`` or is it, whatever links lead there."""
    forms = (Path(os.path.abspath(path)), path.resolve())
    # as texts, for there may be a thousand folders and this is asked before every run
    around = {str(one) for form in forms for one in (form, *form.parents)}
    for folder in folders:
        if str(folder) in around or os.path.realpath(folder) in around:
            return folder
    return None


def confine_configuration(config: pytest.Config) -> None:
    """Let no app configure this process. To be called before initial conftest.py files load.

    Raises UsageError when pytest has already read its configuration from a given folder.
    """
    here = config.invocation_params.dir
    given = tell_apart(_early_args(config), here)
    for arg in given.ordinary:
        folder = inside(here / arg.partition("::")[0], given.folders)
        if folder is not None:
            raise pytest.UsageError(
                f"{arg} lies inside {folder}: an app's own tests are never run by this process"
            )
    _refuse_configuration(config, given.folders)
    _root_outside(config, given)
    _refuse_root(config.rootpath, given)
    namespace = config.known_args_namespace
    anchors = [*given.ordinary, *_trusted_conftests(config, given)]
    namespace.file_or_dir = anchors
    if not anchors:
        # without any argument pytest would look into test* folders beneath the current one
        namespace.noconftest = True


def _early_args(config: pytest.Config) -> Sequence[str]:
    """What pytest will take for its arguments; it decides only later."""
    typed: list[str] = config.known_args_namespace.file_or_dir
    if typed or config.invocation_params.dir != config.rootpath:
        return typed
    return [
        found
        for pattern in config.getini("testpaths")
        for found in sorted(glob.iglob(pattern, recursive=True))
    ]


def _refuse_configuration(config: pytest.Config, folders: Sequence[Path]) -> None:
    path = config.inipath
    folder = inside(path, folders) if path is not None else None
    if path is None or folder is None:
        return
    if path.name == "pyproject.toml" and not _configures_pytest(path):
        return
    raise pytest.UsageError(
        f"{path} lies inside {folder}, which is to be evaluated, and would configure this run; "
        f"{WAY_OUT}"
    )


def _configures_pytest(path: Path) -> bool:
    import tomli

    try:
        tool = tomli.loads(path.read_text("utf-8")).get("tool", {})
    except (OSError, ValueError):
        return True  # pytest would have refused it; so do we
    return not isinstance(tool, dict) or "pytest" in tool


def _root_outside(config: pytest.Config, given: Given) -> None:
    """Move the root directory out of an app whose manifest made pytest choose it."""
    here, root = config.invocation_params.dir, config.rootpath
    if root == here or root in here.parents or config.known_args_namespace.rootdir:
        return
    if given.ordinary and inside(root, given.folders) is None:
        return
    # there is no public way, and the cache would be written into the app
    config._rootpath = here  # noqa: SLF001
    if config.inipath is not None and inside(config.inipath, given.folders):
        config._inipath = None  # noqa: SLF001
    config.known_args_namespace.confcutdir = str(
        config.inipath.parent if config.inipath is not None else here
    )


def _refuse_root(root: Path, given: Given) -> None:
    """Refuse a root directory in an app while nobody has written a cache into it yet."""
    from pytest_dora.discovery.fleet import FleetError, is_app, load_fleet

    apps: list[Path] = []
    for folder in given.folders:
        try:
            if root.resolve() != folder.resolve() or is_app(folder):
                apps.append(folder)
        except OSError:
            continue  # told later, with its reason
    for path in given.fleet_files:
        try:
            apps += [app.path for app in load_fleet(path).apps if app.path is not None]
        except FleetError:
            continue
    app = inside(root, apps)
    if app is not None:
        raise pytest.UsageError(_untouched(root, "pytest's root directory", app))


def _untouched(path: Path, what: str, app: Path) -> str:
    return (
        f"{path}, {what}, lies inside the app {app}, and apps are neither trusted nor written to; "
        "run from a folder outside of it"
    )


def _trusted_conftests(config: pytest.Config, given: Given) -> list[str]:
    """The nearest conftest.py of the evaluating project: files, so that pytest looks no deeper."""
    starts = [config.invocation_params.dir, config.rootpath]
    starts += [path.parent for path in given.fleet_files]
    found: dict[str, None] = {}
    for start in starts:
        for folder in (start, *start.parents):
            candidate = folder / "conftest.py"
            if candidate.is_file() and inside(folder, given.folders) is None:
                found[str(candidate)] = None
                break
    return list(found)


def refuse_untrusted(given: Given, apps: Iterable[Path], fleet_file: Path, output: Path) -> None:
    """Refuse to write into an app, to trust a fleet file inside one, or to be configured by one.

    Raises UsageError.
    """
    apps = tuple(apps)
    for path, what in (
        *((path, "the fleet file") for path in given.fleet_files),
        (output, "the report's folder (--dora-output)"),
    ):
        app = inside(path, apps)
        if app is not None:
            raise pytest.UsageError(_untouched(path, what, app))
    for folder in fleet_file.parents:
        conftest = folder / "conftest.py"
        if conftest.is_file() and inside(folder, given.folders):
            raise pytest.UsageError(f"{conftest} lies inside a folder to be evaluated; {WAY_OUT}")


def rewritten(given: Given, fleet_file: Path) -> list[str]:
    """The arguments that pytest shall collect: the fleet file in the place of every app."""
    selections = ("",) if given.folders else given.selections
    return [*(f"{fleet_file}{selection}" for selection in selections), *given.ordinary]

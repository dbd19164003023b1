"""What one process of a run knows, and how it travels from the controller to the workers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_dora.checks.registry import CheckSpec
from pytest_dora.model.app import App
from pytest_dora.model.fleet import Fleet
from pytest_dora.model.settings import Settings

Pair = tuple[str, str]
"""An app's id and a check's id: the identity of an item, whatever its node id."""


@dataclass(frozen=True)
class RunState:
    """The same on the controller and on every worker."""

    run_id: str
    settings: Settings
    fleet: Fleet
    fleet_file: Path
    """The file under whose name the items are collected."""
    specs: tuple[CheckSpec, ...]
    """Checks that become items, in their order."""
    known_checks: tuple[str, ...]
    """Every check that exists, also those that the profile leaves out."""
    selected_apps: frozenset[str]
    selected_checks: frozenset[str]
    by_id: Mapping[str, App] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {app.app_id: app for app in self.fleet.apps})

    @property
    def output(self) -> Path:
        return self.settings.output

    @property
    def run_dir(self) -> Path:
        return self.output / "runs" / self.run_id

    @property
    def apps(self) -> tuple[App, ...]:
        """The apps that have items; a generation that left no folder has none."""
        return tuple(app for app in self.fleet.apps if app.path is not None)

    @property
    def expected(self) -> tuple[Pair, ...]:
        """Every item that the filters of ours leave, in order."""
        return tuple(
            (app.app_id, spec.id)
            for app in self.apps
            if app.app_id in self.selected_apps
            for spec in self.specs
            if spec.id in self.selected_checks
        )


STATE = pytest.StashKey[RunState]()
"""Present in ``config.stash`` when ``--dora`` is given."""


def to_worker(state: RunState, controller_pid: int) -> dict[str, Any]:
    """What a worker needs, as JSON values."""
    return {
        "run_id": state.run_id,
        "settings": json.loads(state.settings.model_dump_json()),
        "fleet": str(state.run_dir / "fleet.toml"),
        "fleet_file": str(state.fleet_file),
        "apps": sorted(state.selected_apps),
        "checks": sorted(state.selected_checks),
        "items": [spec.id for spec in state.specs],
        "controller": controller_pid,
    }


def from_controller(sent: Mapping[str, Any], specs: Sequence[CheckSpec]) -> RunState:
    """The state of a worker. ``specs`` are all checks that exist in its process."""
    from pytest_dora.discovery.fleet import load_fleet

    by_id = {spec.id: spec for spec in specs}
    return RunState(
        run_id=sent["run_id"],
        settings=Settings.model_validate(sent["settings"]),
        fleet=load_fleet(Path(sent["fleet"])),
        fleet_file=Path(sent["fleet_file"]),
        specs=tuple(by_id[name] for name in sent["items"]),
        known_checks=tuple(by_id),
        selected_apps=frozenset(sent["apps"]),
        selected_checks=frozenset(sent["checks"]),
    )

"""From the arguments of a run to the objects that carry it out, on each kind of process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_dora.checks.registry import CheckSpec
from pytest_dora.discovery.errors import FleetError
from pytest_dora.model.fleet import Fleet
from pytest_dora.plugin import arguments, selection
from pytest_dora.plugin.options import Resolved, resolve
from pytest_dora.plugin.state import STATE, RunState, from_controller


def start(config: pytest.Config) -> None:
    """Find the apps and register what collects, orders, runs and reports their items.

    Raises UsageError for anything that the user can mend.
    """
    from pytest_dora.plugin.execution import Execution
    from pytest_dora.plugin.nodes import Collection
    from pytest_dora.plugin.ordering import Ordering

    given = arguments.tell_apart(config.args, config.invocation_params.dir)
    sent = getattr(config, "workerinput", {}).get("dora")
    state = from_controller(sent, _specs(config)) if sent else _controller_state(config, given)
    config.stash[STATE] = state
    config.args[:] = arguments.rewritten(given, state.fleet_file)
    register = config.pluginmanager.register
    register(Collection(state), "dora-collection")
    register(Ordering(config, state), "dora-ordering")
    register(Execution(config, state), "dora-execution")
    if sent:
        from pytest_dora.plugin.worker import Worker

        register(Worker(sent["controller"]), "dora-worker")
    else:
        _register_controller(config, state)


def _register_controller(config: pytest.Config, state: RunState) -> None:
    from pytest_dora.plugin.controller import Controller
    from pytest_dora.plugin.live import make_live
    from pytest_dora.plugin.scheduler import Distribution
    from pytest_dora.plugin.terminal import Terminal

    register = config.pluginmanager.register
    controller = Controller(config, state)
    register(Distribution(config, state), "dora-distribution")
    register(Terminal(config, state, controller), "dora-terminal")
    if not config.option.collectonly:
        register(controller, "dora-controller")
    live = make_live(config, state)
    if live is not None:
        register(live, "dora-live")


def _controller_state(config: pytest.Config, given: arguments.Given) -> RunState:
    from pytest_dora.report.run import new_run_id

    for arg in given.ordinary:
        name = arg.partition("::")[0]
        if not (config.invocation_params.dir / name).exists():
            raise pytest.UsageError(f"file or directory not found: {name}")
    if config.args_source is config.ArgsSource.INVOCATION_DIR or not given.paths:
        raise pytest.UsageError(
            "--dora needs a folder of apps, an app or a fleet file: pytest --dora ./apps"
        )
    resolved = resolve(config, _project(config, given))
    settings = resolved.settings
    if settings.store is not None:
        _try_store(settings.store)
    fleet = _fleet(given, resolved)
    paths = [app.path for app in fleet.apps if app.path is not None]
    fleet_file = _fleet_file(given, settings.output)
    arguments.refuse_untrusted(given, paths, fleet_file, settings.output)
    known = _specs(config)
    specs = selection.made_items(known, settings)
    ids = [app.app_id for app in fleet.apps if app.path is not None]
    selected = selection.selected_checks(specs, settings)
    selection.refuse_unreachable_level(settings, [spec.id for spec in known], selected)
    if not given.folders:
        selection.refuse_unknown_ids(given.selections, ids, specs)
    state = RunState(
        run_id=new_run_id(),
        settings=settings,
        fleet=fleet,
        fleet_file=fleet_file,
        specs=specs,
        known_checks=tuple(spec.id for spec in known),
        selected_apps=selection.selected_apps(ids, settings),
        selected_checks=selected,
    )
    if fleet_file not in given.fleet_files:
        _write(state)
    return state


def _try_store(url: str) -> None:
    """A store that cannot be used is told before anything is evaluated, not after."""
    from pytest_dora.delivery.store import Store, StoreError

    try:
        Store.open(url).close()
    except StoreError as error:
        raise pytest.UsageError(f"--dora-store: {error}") from error


def _write(state: RunState) -> None:
    from pytest_dora.discovery.fleet import write_fleet

    try:
        write_fleet(state.fleet, state.fleet_file)
    except OSError as error:
        raise pytest.UsageError(
            f"--dora-output: {state.output} cannot be written to: {error.strerror}"
        ) from error


def _project(config: pytest.Config, given: arguments.Given) -> Path | None:
    """The evaluating project's pyproject.toml: never one inside a folder of apps."""
    for folder in (config.rootpath, config.invocation_params.dir):
        path = folder / "pyproject.toml"
        if path.is_file() and not arguments.inside(folder, given.folders):
            return path
    return None


def _fleet(given: arguments.Given, resolved: Resolved) -> Fleet:
    from pytest_dora.discovery.fleet import find_fleet
    from pytest_dora.discovery.generations import attach_generations, find_generation_files

    try:
        fleet = find_fleet(given.paths)
        files = resolved.generations
        if files is None:
            files = find_generation_files(given.folders)
        return attach_generations(fleet, files) if files else fleet
    except FleetError as error:
        raise pytest.UsageError(str(error)) from error


def _fleet_file(given: arguments.Given, output: Path) -> Path:
    """The one file that the user gave, so that ids can be typed back; else one of ours."""
    if not given.folders and len(given.fleet_files) == 1:
        return given.fleet_files[0]
    return Path(os.path.abspath(output / "fleet.toml"))


def _specs(config: pytest.Config) -> Sequence[CheckSpec]:
    from pytest_dora.checks.builtin import BUILTIN

    # pluggy calls the last registered first; ids must come in the same order everywhere
    added = reversed(config.hook.pytest_dora_checks(config=config))
    return selection.all_specs(BUILTIN, added)

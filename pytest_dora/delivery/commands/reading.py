"""``pytest-dora collect`` and ``pytest-dora metrics``."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_dora.delivery.commands.common import (
    CommandError,
    a_time,
    add_store,
    complain,
    opened,
    say,
)
from pytest_dora.model.base import utc_now

if TYPE_CHECKING:
    from pytest_dora.model.fleet import Fleet

OK, FAILED = 0, 1
_UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0}
Commands = Any
"""What ``ArgumentParser.add_subparsers`` gives; argparse has no public name for it."""


def add_collect(commands: Commands) -> None:
    collect = commands.add_parser(
        "collect",
        help="read deployments, incidents and health of services into the store",
        description="Reads what the fleet file names: the services of its apps (github, fly, "
        "databricks) and its [[collect]] tables. Tokens come from the environment.",
    )
    collect.add_argument("collectors", nargs="*", metavar="COLLECTOR", help="only these")
    collect.add_argument("--fleet", type=Path, default=Path(".dora/fleet.toml"), metavar="FILE")
    add_store(collect)
    collect.set_defaults(act=_collect)


def add_metrics(commands: Commands) -> None:
    metrics = commands.add_parser("metrics", help="tell the DORA metrics of the store")
    add_store(metrics)
    metrics.add_argument("--fleet", type=Path, metavar="FILE", help="joins services to apps")
    metrics.add_argument("--app", action="append", metavar="ID", help="only these apps")
    metrics.add_argument("--window", type=_days, default=30.0, metavar="30d")
    metrics.add_argument("--now", type=a_time, metavar="TIME", help="the end of the window")
    metrics.add_argument("--attribution", type=_days, default=1.0, metavar="24h")
    metrics.add_argument("--observation", type=_days, default=1.0, metavar="24h")
    metrics.add_argument("--incidents-watched", action="store_true")
    metrics.add_argument("--benchmark", choices=("2023", "2024", "2025"), default="2024")
    metrics.add_argument("--human-hours", type=float, metavar="H", help="to build one such app")
    metrics.add_argument("--human-rate", type=float, metavar="USD", help="per hour")
    metrics.add_argument("--json", type=Path, metavar="FILE", help="write all of it; - prints it")
    metrics.set_defaults(act=_metrics)


def _days(text: str) -> float:
    try:
        return float(text[:-1]) * _UNITS[text[-1:]]
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no span; write 24h, 30d or 12w") from None


def _fleet(path: Path | None) -> Fleet:
    from pytest_dora.discovery.fleet import load_fleet
    from pytest_dora.model.fleet import Fleet

    return Fleet() if path is None else load_fleet(path)


def _collect(chosen: argparse.Namespace) -> int:
    from pytest_dora.delivery.collecting import collect, label, names, scopes
    from pytest_dora.delivery.collectors import CollectError

    unknown = sorted(set(chosen.collectors) - set(names()))
    if unknown:
        raise CommandError(f"{unknown[0]}: no such collector; there are {', '.join(names())}")
    try:
        found = list(scopes(_fleet(chosen.fleet), chosen.collectors))
    except CollectError as error:
        raise CommandError(f"{chosen.fleet}: {error}") from error
    if not found:
        raise CommandError(
            f"{chosen.fleet}: names nothing to collect; give apps github, fly or databricks names, "
            "or write [[collect]]"
        )
    failed = 0
    with opened(chosen.store) as store:
        for number, (name, scope) in enumerate(found, 1):
            complain(f"[{number}/{len(found)}] {name} {label(scope)} …")
            result = collect(store, name, scope, utc_now())
            through = f"{result.data_through:%Y-%m-%d %H:%M}Z" if result.data_through else "unknown"
            say(f"{name} {result.scope}: {result.new} new, {result.known} known, through {through}")
            for reason, count in result.refused.items():
                say(f"  refused: {count} {reason}")
            for note in result.notes:
                say(f"  note: {note}")
            if result.error:
                failed += 1
                say(f"  error: {' '.join(result.error.split())}")
    return FAILED if failed else OK


def _metrics(chosen: argparse.Namespace) -> int:
    from pytest_dora.delivery.policy import Policy, days_before
    from pytest_dora.delivery.production import Owners, production
    from pytest_dora.delivery.telling import lines

    fleet = _fleet(chosen.fleet)
    now = chosen.now or utc_now()
    policy = Policy(
        attribution=timedelta(days=chosen.attribution),
        observation=timedelta(days=chosen.observation),
        environments=fleet.environments,
        incidents_watched=chosen.incidents_watched,
        human_hours_per_app=chosen.human_hours,
        human_usd_per_hour=chosen.human_rate,
        benchmark=chosen.benchmark,
    )
    apps = chosen.app or ([app.app_id for app in fleet.apps] or None)
    for option, value in (
        ("--human-hours", chosen.human_hours),
        ("--human-rate", chosen.human_rate),
    ):
        if value is not None and value < 0:
            raise CommandError(f"{option}: {value:g} is negative")
    window = days_before(now, chosen.window)
    with opened(chosen.store, create=False) as store:
        owners = Owners.of(fleet)
        known = {owners(*pair) for pair in store.owners()} | {app.app_id for app in fleet.apps}
        strangers = sorted(set(chosen.app or ()) - known)
        if strangers:
            raise CommandError(
                f"--app {strangers[0]}: neither the store nor the fleet file knows such an app"
            )
        told = production(store, window, now, policy, owners, apps)
    text = json.dumps(told.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    if chosen.json == Path("-"):
        sys.stdout.write(text)
        return OK
    if chosen.json is not None:
        chosen.json.write_text(text, encoding="utf-8")
    for line in lines(told):
        say(line)
    return OK

"""``pytest-dora record KIND``: the arguments of each kind, and the record that they make."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pytest_dora.delivery.commands.common import (
    OK,
    REFUSED,
    CommandError,
    a_time,
    add_store,
    append,
    complain,
    opened,
    say,
    told,
)
from pytest_dora.delivery.environments import EnvironmentTier, tier_of
from pytest_dora.delivery.recording import (
    BuildRecord,
    ChangeRecord,
    CostRecord,
    DeploymentRecord,
    GenerationRecord,
    HealthRecord,
    IncidentRecord,
    Record,
    RecordError,
    Subject,
    evaluated,
    recorded,
)
from pytest_dora.model.base import utc_now
from pytest_dora.model.events import Cause, DeploymentState, IncidentKind, Method


class _Option(NamedTuple):
    """One argument; its name is the record's field unless ``field`` says another."""

    flag: str
    help: str
    read: Callable[[str], Any] | None = None
    field: str | None = None
    more: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return self.field or self.flag.lstrip("-").replace("-", "_")


def _time(flag: str, text: str, field: str, *, required: bool = False) -> _Option:
    more = {"metavar": "TIME", "required": required}
    return _Option(flag, text, a_time, field, more)


def _switch(flag: str, text: str) -> _Option:
    return _Option(flag, text, None, None, {"action": argparse.BooleanOptionalAction})


def _choice(flag: str, text: str, names: Any, field: str | None = None, **more: Any) -> _Option:
    values = [name.value for name in names]
    return _Option(flag, text, None, field, {"choices": values, "metavar": "NAME", **more})


_FINGERPRINT = _Option("--fingerprint", "hash of the tree, as the report has it")
_RUN = _Option("--run-id", "the evaluation that let it through")
_COMMIT = _Option("--commit", "full sha", field="commit_sha")
_COST = _Option("--cost", "US dollars", float, "cost_usd")
_FINISHED = _time("--finished", "default: now", "finished_at")

_KINDS: dict[str, tuple[str, Callable[..., Record], tuple[_Option, ...]]] = {
    "deployment": (
        "a deployment, in one of its states",
        DeploymentRecord,
        (
            _choice("--status", "default: success", DeploymentState, "state", default="success"),
            _time("--started", "when it began", "started_at"),
            _time("--finished", "when it served, or ended (default: now)", "finished_at"),
            _Option("--version", "what was deployed"),
            _COMMIT,
            _Option("--artifact", "package URL or image"),
            _Option("--repository", "address of the source"),
            _FINGERPRINT,
            _RUN,
            _choice("--method", "who started it", Method),
            _Option("--previous-version", "what it replaced"),
            _switch("--rollback", "it brings an earlier version back"),
            _Option("--rollback-to", "the version it brings back"),
            _switch("--rework", "it was unplanned and followed from an incident"),
            _COST,
            _Option("--url", "where more is said"),
            _Option("--changes", "commits it brought", more={"nargs": "+", "metavar": "SHA"}),
        ),
    ),
    "incident": (
        "what is known of an incident: opens, corrects or closes it",
        IncidentRecord,
        (
            _choice("--kind", "what kind of incident", IncidentKind),
            _Option("--title", "in a line"),
            _Option("--severity", "as you name it"),
            _time("--started", "when users were first hurt", "started_at"),
            _time("--detected", "when somebody noticed", "detected_at"),
            _time("--diagnosed", "when the cause was known", "diagnosed_at"),
            _time("--fix-deployed", "when the fix served", "fix_deployed_at"),
            _time("--resolved", "when it was over", "resolved_at"),
            _Option("--caused-by-deployment", "id of the deployment that caused it"),
            _Option("--caused-by-version", "version that caused it"),
            _Option("--caused-by-commit", "commit that caused it"),
            _switch("--external-cause", "no change of the app caused it"),
            _Option("--duplicate-of", "id of the incident that it repeats"),
            _Option("--url", "where more is said"),
        ),
    ),
    "generation": (
        "one attempt of a model, or a person, to make the app",
        GenerationRecord,
        (
            _time("--prompted", "when it was asked for", "prompt_at", required=True),
            _time("--completed", "when it was done", "completed_at"),
            _switch("--success", "it left an app"),
            _Option("--human", "a person made it", more={"action": "store_true"}),
            _Option("--model", "which model"),
            _Option("--prompt-id", "which prompt"),
            _Option("--attempt", "1 is the first", int),
            _Option("--input-tokens", "how many", int),
            _Option("--output-tokens", "how many", int),
            _COST,
            _FINGERPRINT,
        ),
    ),
    "build": (
        "an installation and build of the app",
        BuildRecord,
        (
            _time("--started", "when it began", "started_at", required=True),
            _FINISHED,
            _Option("--status", "success or failed", field="success",
                    more={"choices": ["success", "failed"], "required": True}),
            _RUN,
            _FINGERPRINT,
            _COMMIT,
            _COST,
        ),
    ),
    "cost": (
        "money that was spent on the app",
        CostRecord,
        (
            _Option("--category", "what for", more={"required": True, "choices":
                    ["generation", "build", "deployment", "evaluation", "other"]}),
            _Option("--usd", "US dollars", float, more={"required": True}),
            _Option("--reference", "the id of what it paid for, which it then prices"),
            _time("--spent", "when (default: now)", "spent_at"),
        ),
    ),
    "change": (
        "a commit",
        ChangeRecord,
        (
            _Option("--commit", "full sha", field="commit_sha", more={"required": True}),
            _time("--authored", "when it was written", "authored_at"),
            _time("--committed", "when it was committed", "committed_at"),
            _time("--opened", "when its pull request was opened", "opened_at"),
            _time("--merged", "when its pull request was merged", "merged_at"),
            _Option("--pull-request", "its address"),
            _Option("--merge-commit", "what the pull request became", field="merge_sha"),
            _Option("--merge", "it is a merge commit", field="is_merge",
                    more={"action": "store_true"}),
            _Option("--reverts", "commits it takes back", more={"nargs": "+", "metavar": "SHA"}),
            _switch("--hotfix", "it mends an incident"),
        ),
    ),
    "health": (
        "what was measured of the app over a span of time",
        HealthRecord,
        (
            _time("--start", "of the span", "start", required=True),
            _time("--end", "of the span", "end", required=True),
            _Option("--uptime", "share, from 0 to 1", float),
            _Option("--requests", "how many", float),
            _Option("--errors", "how many of them failed", float),
            _Option("--p50-ms", "median latency", float),
            _Option("--p99-ms", "99th percentile of latency", float),
        ),
    ),
}  # fmt: skip
_REPORTED = ("deployment", "generation", "build")
"""Kinds that a report can say something of."""


def add_record(commands: Any) -> None:
    """Add ``record KIND …``, with a sub-parser for every kind of record."""
    record = commands.add_parser("record", help="record a deployment, an incident, a cost, …")
    kinds = record.add_subparsers(title="kinds", metavar="KIND", required=True)
    for kind, (text, _, options) in _KINDS.items():
        parser = kinds.add_parser(kind, help=text, description=f"Record {text}.")
        parser.add_argument("--app", metavar="ID", required=kind not in _REPORTED)
        parser.add_argument("--id", metavar="ID", help="the same in every call (default: random)")
        parser.add_argument(
            "--environment",
            metavar="NAME",
            default="production" if kind == "deployment" else None,
            help="default: production" if kind == "deployment" else None,
        )
        if kind in _REPORTED:
            text = "take app, fingerprint and run from a report.json"
            parser.add_argument("--report", type=Path, metavar="FILE", help=text)
        for option in options:
            _add(parser, option)
        add_store(parser)
        parser.set_defaults(act=_act, kind_of_record=kind)


def _add(parser: argparse.ArgumentParser, option: _Option) -> None:
    more = dict(option.more)
    if option.read is not None:
        more["type"] = option.read
    if "action" not in more and "metavar" not in more and "choices" not in more:
        more["metavar"] = {int: "N", float: "N"}.get(option.read, "TEXT")  # type: ignore[call-overload]
    parser.add_argument(option.flag, dest=option.name, help=option.help, **more)


def _act(chosen: argparse.Namespace) -> int:
    kind = chosen.kind_of_record
    _, make, options = _KINDS[kind]
    given = {option.name: getattr(chosen, option.name) for option in options}
    try:
        app_id, given = _with_report(chosen, given)
        subject = _subject(chosen, app_id)
        record = make(**_fields(kind, given, subject))
        events = recorded(subject, record)
    except RecordError as error:
        raise CommandError(str(error)) from error
    with opened(chosen.store) as store:
        done = append(store, events)
        say(f"{kind} {subject.id} of {subject.app_id}: {told(done)}: {store.shown}")
    if chosen.environment and tier_of(chosen.environment) is EnvironmentTier.UNKNOWN:
        complain(
            f"{chosen.environment}: its name does not tell a tier; until [environments] of a fleet "
            "file does, it is counted in no metric"
        )
    if done.refused:
        complain("what is stored stays; record a correction with another --id, or other times")
    return REFUSED if done.refused else OK


def _subject(chosen: argparse.Namespace, app_id: str) -> Subject:
    named = {} if chosen.id is None else {"id": chosen.id}
    return Subject(app_id, utc_now(), environment=chosen.environment, **named)


def _with_report(chosen: argparse.Namespace, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The app, and the facts with those of the report where none were given."""
    path: Path | None = getattr(chosen, "report", None)
    if path is None:
        if chosen.app is None:
            raise RecordError("whose is it? name the app with --app, or a report with --report")
        return chosen.app, given
    try:
        found = evaluated(path, chosen.app)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    filled = {"fingerprint": found.fingerprint, "run_id": found.run_id}
    named = ("version", "commit_sha", "artifact")
    if "version" in given and all(given[name] is None for name in named):
        filled["version"] = found.fingerprint  # the tree itself is the version
    more = {name: value for name, value in filled.items() if given.get(name, "") is None}
    return found.app_id, {**given, **more}


def _fields(kind: str, given: dict[str, Any], subject: Subject) -> dict[str, Any]:
    """The record's fields: what was typed, in the record's own types."""
    match kind:
        case "deployment":
            given["state"] = DeploymentState(given["state"])
            given["method"] = given["method"] and Method(given["method"])
            given["changes"] = tuple(given["changes"] or ())
        case "incident":
            given["kind"] = given["kind"] and IncidentKind(given["kind"])
            names = ("deployment", "version", "commit")
            cause = [given.pop(f"caused_by_{name}") for name in names]
            if any(cause):
                given["caused_by"] = Cause(
                    deployment=cause[0], version=cause[1], commit_sha=cause[2]
                )
        case "build":
            given["success"] = given["success"] == "success"
            given["finished_at"] = given["finished_at"] or subject.at
        case "change":
            given["reverts"] = tuple(given["reverts"] or ())
    return given

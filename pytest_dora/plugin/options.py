"""The options, where their values come from, and what is wrong with a bad one.

Command line > environment ``PYTEST_DORA_*`` > ``[tool.pytest-dora]`` of the evaluating project >
defaults. Nothing from inside an app is ever read here.

Every pytest run imports this module: its classes are named tuples, for a dataclass takes four
times as long to make.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

if TYPE_CHECKING:
    import argparse

    from pytest_dora.model.settings import Settings

_LEVELS = ("research", "preview", "production_candidate")


class Option(NamedTuple):
    """One setting: ``--dora-NAME``, ``PYTEST_DORA_NAME``, ``NAME`` in pyproject.toml."""

    name: str
    help: str
    kind: Literal["text", "flag", "list", "paths", "path", "number", "shard", "days"] = "text"
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    field: str = ""
    """The field of ``Settings``; the name where it is the same."""

    @property
    def dest(self) -> str:
        return f"dora_{self.name.replace('-', '_')}"

    @property
    def variable(self) -> str:
        return f"PYTEST_DORA_{self.name.replace('-', '_').upper()}"

    @property
    def target(self) -> str:
        return self.field or self.name.replace("-", "_")


OPTIONS = (
    Option("app", "Evaluate only the apps with these ids or shell patterns", "list",
           "IDS", field="apps"),
    Option("check", "Make only these checks, by their exact ids", "list", "IDS", field="checks"),
    Option("profile", "Which checks are made: build and runtime; all but the longest "
           "(default); all", choices=("smoke", "standard", "full")),
    Option("gate", "The level that apps have to reach", choices=_LEVELS),
    Option("fail-under", "Fail when fewer than PCT percent of the apps reach the gate's level; "
           "failed checks alone no longer fail the run", "number", "PCT"),
    Option("strict", "What could not be judged is a failure, not a skip", "flag"),
    Option("keep", "Which workspaces stay after the run",
           choices=("never", "failed", "all")),
    Option("sandbox", "How apps are confined (default: the strongest that works here)",
           choices=("auto", "bubblewrap", "landlock", "none")),
    Option("env", "Pass these variables of yours to the apps", "list", "NAMES", field="pass_env"),
    Option("allow-host", "Let installation and builds reach these hosts too", "list", "HOSTS",
           field="allow_hosts"),
    Option("postgres", "Create the apps' databases on this server instead of one of ours",
           metavar="URL", field="postgres_url"),
    Option("work", "Where workspaces lie (default: the user's cache)", "path", "DIR"),
    Option("output", "Where the report and the logs go (default: .dora)", "path", "DIR"),
    Option("shard", "Evaluate only the I-th of N parts of the apps", "shard", "I/N"),
    Option("store", "Record this run in a store of delivery events (a file or a database URL), "
           "and report what production did", metavar="URL"),
    Option("window", "The span of time before now that delivery metrics cover (default: 30d)",
           "days", "DAYS", field="window_days"),
    Option("incidents-watched", "Incidents would be in the store if there were any: without one, "
           "the change failure rate is 0 and not unknown", "flag"),
    Option("benchmark", "The edition of DORA's benchmark that names bands",
           choices=("2023", "2024", "2025")),
    Option("generations", "Files that tell how the apps were generated "
           "(default: bulk_run_results_*.json beside the apps)", "paths", "FILES"),
)  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    """Add ``--dora`` and every ``--dora-*``."""
    group = parser.getgroup("dora", "evaluation of web apps (pytest-dora)")
    group.addoption(
        "--dora",
        action="store_true",
        default=False,
        help="Evaluate the apps in the given folders or fleet files",
    )
    for option in OPTIONS:
        extra: dict[str, Any] = {}
        if option.kind == "flag":
            extra["action"] = "store_true"
        elif option.kind in ("list", "paths"):
            extra["action"] = "append"
        if option.kind != "flag":
            extra["metavar"] = option.metavar or "|".join(option.choices)
        group.addoption(
            f"--dora-{option.name}", dest=option.dest, default=None, help=option.help, **extra
        )


def is_active(namespace: argparse.Namespace) -> bool:
    """Whether ``--dora`` was given."""
    return bool(getattr(namespace, "dora", False))


class Resolved(NamedTuple):
    """The settings of a run, and the generation files that were named (None: look for them)."""

    settings: Settings
    generations: tuple[Path, ...] | None


class _Given(NamedTuple):
    """A value with the place it was read from; paths in it are relative to ``base``."""

    option: Option
    value: Any
    place: str
    base: Path


def resolve(config: pytest.Config, project: Path | None) -> Resolved:
    """The settings of this run. ``project`` is the evaluating project's pyproject.toml.

    Raises UsageError that names the option and the place of a bad value.
    """
    from pydantic import ValidationError

    from pytest_dora.model.settings import Settings

    here = config.invocation_params.dir
    values: dict[str, Any] = {"output": here / ".dora"}
    places: dict[str, str] = {}
    generations: tuple[Path, ...] | None = None
    table = _project_table(project)
    for given in (*_from_project(table, project), *_from_environment(here), *_typed(config)):
        value = _parsed(given)
        if given.option.kind == "paths":
            generations = value
        else:
            values[given.option.target] = value
            places[given.option.target] = f"--dora-{given.option.name} ({given.place})"
    if "limits" in table:
        values["limits"], places["limits"] = table["limits"], f"limits ({project})"
    try:
        return Resolved(Settings.model_validate(values), generations)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        where = places.get(str(problem["loc"][0]), name)
        raise pytest.UsageError(f"{where}: {problem['msg']}, not {problem['input']!r}") from error


def _project_table(project: Path | None) -> Mapping[str, Any]:
    if project is None:
        return {}
    import tomli

    try:
        table = tomli.loads(project.read_text("utf-8")).get("tool", {}).get("pytest-dora", {})
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"{project}: {error}") from error
    if not isinstance(table, dict):
        raise pytest.UsageError(f"{project}: [tool.pytest-dora] must be a table")
    return table


def _from_project(table: Mapping[str, Any], project: Path | None) -> Iterator[_Given]:
    known = {option.name: option for option in OPTIONS}
    for key, value in table.items():
        if key == "limits":
            continue
        option = known.get(key) or known.get(key.replace("_", "-"))
        if option is None:
            import difflib

            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            raise pytest.UsageError(f"{project}: unknown key {key!r} in [tool.pytest-dora]; {hint}")
        assert project is not None
        yield _Given(option, value, f"{project}, [tool.pytest-dora] {key}", project.parent)


def _from_environment(here: Path) -> Iterator[_Given]:
    for option in OPTIONS:
        value = os.environ.get(option.variable)
        if value:
            yield _Given(option, value, f"environment variable {option.variable}", here)


def _typed(config: pytest.Config) -> Iterator[_Given]:
    for option in OPTIONS:
        value = config.getoption(option.dest)
        if value is not None:
            yield _Given(option, value, "command line", config.invocation_params.dir)


def _parsed(given: _Given) -> Any:
    """The value in the type of its option. Raises UsageError naming option and place."""
    value, option = given.value, given.option
    if option.kind == "flag":
        return _flag(given)
    if option.kind in ("list", "paths"):
        texts = tuple(part for text in _texts(given) for part in _split(text))
        if option.kind == "list":
            return texts
        return tuple(given.base / text for text in texts)
    if option.kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not value:
        raise _bad(given, "a text that is not empty")
    if option.choices and value not in option.choices:
        raise _bad(given, f"one of {', '.join(option.choices)}")
    if option.kind == "path":
        return Path(os.path.abspath(given.base / value))
    if option.kind == "number":
        return _number(given)
    if option.kind == "days":
        return _days(given)
    return _shard(given) if option.kind == "shard" else value


def _texts(given: _Given) -> list[str]:
    texts = given.value if isinstance(given.value, list) else [given.value]
    if not all(isinstance(text, str) for text in texts):
        raise _bad(given, "a text or a list of texts")
    return texts


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _flag(given: _Given) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True,
             "0": False, "false": False, "no": False, "off": False}  # fmt: skip
    flag = given.value if isinstance(given.value, bool) else words.get(str(given.value).lower())
    if flag is None:
        raise _bad(given, "true or false")
    return flag


def _number(given: _Given) -> float:
    try:
        return float(given.value.removesuffix("%"))
    except ValueError:
        raise _bad(given, "a number between 0 and 100") from None


def _days(given: _Given) -> float:
    try:
        number, unit = float(given.value[:-1]), given.value[-1]
        return number * {"d": 1, "w": 7}[unit]
    except (KeyError, ValueError):
        raise _bad(given, "a number of days or weeks, as in 30d or 12w") from None


def _shard(given: _Given) -> tuple[int, int]:
    first, _, last = given.value.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise _bad(given, "I/N with I from 1 to N, as in 2/5")
    return int(first), int(last)


def _bad(given: _Given, wanted: str) -> pytest.UsageError:
    return pytest.UsageError(
        f"--dora-{given.option.name} ({given.place}): {given.value!r} is not {wanted}"
    )

"""The ``pytest-dora`` command. Exit status: 0 well, 1 gate not met, 3 our fault, 4 usage."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

OK, NOT_MET, OURS, USAGE = 0, 1, 3, 4
_OUTPUT = Path(".dora")


class UsageError(Exception):
    """What was typed cannot be done; one line with the way out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, and never shows a traceback."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if typed[:1] == ["run"]:  # its options are pytest's: nothing of them is ours to parse
            return _run(typed[1:])
        chosen = _parser().parse_args(typed)
        status = chosen.act(chosen)
        sys.stdout.flush()
        return int(status)
    except UsageError as error:
        return _say(str(error), USAGE)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the boundary to the user
        from pytest_dora.delivery.commands import CommandError
        from pytest_dora.delivery.store.place import StoreError
        from pytest_dora.discovery.errors import FleetError
        from pytest_dora.report.inputs import RunError

        if isinstance(error, CommandError | FleetError | RunError | StoreError):
            return _say(str(error), USAGE)
        if isinstance(error, OSError) and error.filename is not None:
            return _say(f"{error.filename}: {error.strerror}", OURS)
        return _say(f"internal error: {type(error).__name__}: {error}", OURS)


def _say(message: str, status: int) -> int:
    shown = "".join(char if char.isprintable() else " " for char in message)
    print(f"pytest-dora: {' '.join(shown.split())}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    from pytest_dora import __version__

    parser = _Parser(prog="pytest-dora", description="Evaluate generated web apps.")
    parser.add_argument("--version", action="version", version=f"pytest-dora {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser(
        "run",
        help="evaluate apps in a pytest run that takes no configuration from them",
        usage="pytest-dora run PATH… [OPTIONS OF PYTEST]",
    )
    run.set_defaults(act=lambda _: _run([]))

    shell = commands.add_parser("shell", help="open a shell in an app's sandbox")
    shell.add_argument("app", metavar="APP", help="an app's folder, or its id in the last run")
    shell.add_argument("--at", metavar="STAGE", default="installed", dest="stage")
    shell.set_defaults(act=_shell)

    doctor = commands.add_parser("doctor", help="say what this machine can judge")
    doctor.set_defaults(act=_doctor)

    show = commands.add_parser("show", help="show a report, or one app's findings")
    show.add_argument("what", nargs="*", metavar="REPORT | APP[::CHECK]")
    show.set_defaults(act=_show)

    merge = commands.add_parser("merge", help="merge shards, or rebuild a run that was cut short")
    merge.add_argument("paths", nargs="+", type=Path, metavar="RUN_OR_REPORT")
    merge.add_argument("--output", type=Path, metavar="DIR", help="where the report is written")
    merge.add_argument(
        "--store", metavar="URL", help="record the run there, and add what production showed"
    )
    merge.set_defaults(act=_merge)

    from pytest_dora.delivery.commands import add_to

    add_to(commands)
    return parser


def _run(arguments: list[str]) -> int:
    """Become a pytest that reads its configuration from us and imports nothing from here."""
    if arguments in (["--help"], ["-h"]):
        print("usage: pytest-dora run PATH… [OPTIONS OF PYTEST]\n")
        print("Runs `pytest --dora PATH…` with a configuration of its own: no pytest.ini, no")
        print("conftest.py and no module of the given or the current folder is read.")
        return OK
    if not arguments or all(argument.startswith("-") for argument in arguments):
        raise UsageError("run needs the folder of an app, a folder of apps or a fleet file")
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-c",
        str(Path(__file__).with_name("run.ini")),
        "--rootdir",
        str(Path.cwd()),
        "--noconftest",
        "--dora",
        *arguments,
    ]
    sys.stdout.flush()
    # Not a child: signals reach pytest itself, and its exit status is ours.
    # Workers start Python with the current folder on its path; an app may hold a json.py.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell is wanted
    raise AssertionError("a process that was replaced does not go on")


def _shell(chosen: argparse.Namespace) -> int:
    from pytest_dora.runtime.shell import STAGES, open_shell

    if chosen.stage not in STAGES:
        raise UsageError(f"no stage {chosen.stage!r}; stages are {', '.join(STAGES)}")
    return open_shell(_app_folder(chosen.app), chosen.stage)


def _app_folder(named: str) -> Path:
    path = Path(named)
    if path.is_dir():
        return path
    fleet_file = _OUTPUT / "fleet.toml"
    if fleet_file.is_file():
        from pytest_dora.discovery.fleet import load_fleet

        for app in load_fleet(fleet_file).apps:
            if app.app_id == named and app.path is not None:
                return app.path
    raise UsageError(f"{named}: no such folder, and no app of {fleet_file}; give the app's folder")


def _doctor(_chosen: argparse.Namespace) -> int:
    from pytest_dora.runtime.doctor import examine

    print("\n".join(examine()))
    return OK


def _show(chosen: argparse.Namespace) -> int:
    from pytest_dora.report.merge import read_report
    from pytest_dora.report.show import app_lines, summary_lines

    path, wanted = _report_and_app(chosen.what)
    report = read_report(path)
    lines = app_lines(report, path.parent, wanted) if wanted else summary_lines(report)
    print("\n".join(lines))
    return OK


def _report_and_app(what: Sequence[str]) -> tuple[Path, str | None]:
    """Which file and which app were meant: the report may be left out."""
    if len(what) > 2:
        raise UsageError("show takes a report and one app; see `pytest-dora show --help`")
    rest = list(what)
    path = _OUTPUT / "report.json"
    if rest and (len(rest) == 2 or rest[0].endswith(".json") or _holds_report(Path(rest[0]))):
        given = Path(rest.pop(0))
        path = given / "report.json" if given.is_dir() else given
    return path, rest[0] if rest else None


def _holds_report(path: Path) -> bool:
    return path.is_dir() and (path / "report.json").is_file()


def _merge(chosen: argparse.Namespace) -> int:
    from pytest_dora.report.merge import merge_paths
    from pytest_dora.report.show import gate_lines
    from pytest_dora.report.text import counted

    merged, output = merge_paths(chosen.paths, chosen.output, chosen.store)
    report = merged.report
    checks = sum(len(app.checks) for app in report.apps)
    apps, asked = counted(len(report.apps), "app"), counted(checks, "check")
    print(f"{apps}, {asked}: {output / 'report.json'}")
    print("\n".join(gate_lines(report.gate)))
    return NOT_MET if report.gate.met is False else OK


if __name__ == "__main__":
    sys.exit(main())

"""Runs inside an app's sandbox, by the app's own interpreter, which may be an old one.

    python guest.py OPTIONS.json pytest|module|script NAME ARGUMENTS...

Measures coverage around a test run, records what unittest does, and ends with the status the
run itself would have ended with. Imports the standard library only, and nothing of ours.
"""

# ruff: noqa: BLE001, N802, UP036 - the names of others, and old interpreters
from __future__ import annotations

import importlib.util
import json
import os
import runpy
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SKIPPED = {"node_modules", "site-packages", "__pycache__", "venv", "env", "build", "dist"}
_MAX_SOURCES = 4000
_MAX_FAILURES = 200


def main() -> None:
    with open(sys.argv[1]) as file:
        options = json.load(file)
    kind, name, arguments = sys.argv[2], sys.argv[3], sys.argv[4:]
    folder = os.path.dirname(os.path.abspath(__file__))
    if folder in sys.path:
        sys.path.remove(folder)
    meter = _start_coverage(options) if options.get("coverage_report") else None
    record = _record_unittest(options["report"]) if options.get("report") else None
    try:
        _run(kind, name, arguments)
    finally:
        if record is not None:
            record()
        if meter is not None:
            _stop_coverage(meter, options)


def _run(kind: str, name: str, arguments: list[str]) -> None:
    if kind == "script":
        sys.argv = [name, *arguments]
        sys.path.insert(0, os.path.dirname(os.path.abspath(name)))
        runpy.run_path(name, run_name="__main__")
    elif kind == "module":
        sys.path.insert(0, os.getcwd())
        sys.argv = [name, *arguments]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:  # a console script: the current folder is not importable
        sys.argv = [name, *arguments]
        runpy.run_module(name, run_name="__main__", alter_sys=True)


# --- coverage -------------------------------------------------------------------------------


def _start_coverage(options: dict[str, str]) -> Any:
    try:
        coverage = _import_coverage(options["coverage_package"])
        fast = importlib.util.find_spec("coverage.tracer") is not None
        concurrency = ["thread"]
        if fast and importlib.util.find_spec("greenlet") is not None:
            concurrency.append("greenlet")
        core = os.environ.pop("COVERAGE_CORE", None)
        if not fast and sys.version_info >= (3, 12):
            os.environ["COVERAGE_CORE"] = "sysmon"
        root = os.getcwd()
        meter = coverage.Coverage(
            data_file=None,
            config_file=False,
            include=[os.path.join(root, "*")],
            omit=[os.path.join("*", part, "*") for part in (".venv", *sorted(_SKIPPED))],
            concurrency=concurrency,
            messages=False,
        )
        meter.start()
        os.environ.pop("COVERAGE_CORE", None)
        if core is not None:
            os.environ["COVERAGE_CORE"] = core
        return meter
    except Exception as error:  # coverage is a measurement: without it the tests run as well
        sys.stderr.write(f"no coverage: {error}\n")
        return None


def _import_coverage(package: str) -> Any:
    """The app's own coverage.py, else the copy that was laid beside us."""
    try:
        import coverage
    except ImportError:
        if sys.version_info < (3, 11):
            raise RuntimeError(
                f"ours does not run on Python {sys.version_info[0]}.{sys.version_info[1]}: "
                "add coverage to the development dependencies"
            ) from None
        sys.path.insert(0, package)
        try:
            import coverage
        finally:
            sys.path.remove(package)
    return coverage


def _stop_coverage(meter: Any, options: dict[str, str]) -> None:
    try:
        meter.stop()
        meter.get_data().touch_files(_sources(os.getcwd()))
        meter.json_report(outfile=options["coverage_report"], ignore_errors=True)
    except Exception as error:
        sys.stderr.write(f"no coverage: {error}\n")


def _sources(root: str) -> list[str]:
    """Every Python file below the current folder: what no test imports counts as not run."""
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [
            one
            for one in sorted(folders)
            if one not in _SKIPPED
            and not one.startswith(".")
            and not os.path.exists(os.path.join(folder, one, "pyvenv.cfg"))
        ]
        found.extend(os.path.join(folder, name) for name in sorted(names) if name.endswith(".py"))
        if len(found) > _MAX_SOURCES:
            break
    return found[:_MAX_SOURCES]


# --- unittest -------------------------------------------------------------------------------


def _record_unittest(path: str) -> Callable[[], None]:
    """Note what every result of a text runner is told; the returned function writes it down."""
    import unittest

    seen: dict[str, Any] = {"passed": 0, "failed": 0, "skipped": 0, "broken": 0, "failures": []}

    def failed(test: Any, err: Any) -> None:
        name = str(test.id()) if hasattr(test, "id") else str(test)
        loading = type(test).__name__ in ("_FailedTest", "_ErrorHolder")
        seen["broken" if loading else "failed"] += 1
        if len(seen["failures"]) < _MAX_FAILURES:
            said = f"{getattr(err[0], '__name__', err[0])}: {err[1]}"
            told = [name[:300], _last_line(said) if loading else said[:2000]]
            seen["failures"].insert(0 if loading else len(seen["failures"]), told)

    class Recorder(unittest.TextTestResult):
        def addSuccess(self, test: Any) -> None:
            seen["passed"] += 1
            super().addSuccess(test)

        def addFailure(self, test: Any, err: Any) -> None:
            failed(test, err)
            super().addFailure(test, err)

        def addError(self, test: Any, err: Any) -> None:
            failed(test, err)
            super().addError(test, err)

        def addSkip(self, test: Any, reason: str) -> None:
            seen["skipped"] += 1
            super().addSkip(test, reason)

        def addExpectedFailure(self, test: Any, err: Any) -> None:
            seen["passed"] += 1
            super().addExpectedFailure(test, err)

        def addUnexpectedSuccess(self, test: Any) -> None:
            seen["failed"] += 1
            super().addUnexpectedSuccess(test)

        def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
            if err is not None:
                failed(subtest, err)
            super().addSubTest(test, subtest, err)

    def write() -> None:
        with open(path, "w") as file:
            json.dump(seen, file)

    unittest.TextTestRunner.resultclass = Recorder  # type: ignore[assignment]
    return write


def _last_line(message: str) -> str:
    """A file that cannot be loaded comes with a traceback as its message."""
    lines = [line for line in message.splitlines() if line.strip()]
    return lines[-1][:2000] if lines else ""


if __name__ == "__main__":
    main()

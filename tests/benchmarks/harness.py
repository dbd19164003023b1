"""What the benchmarks share: programs timed with all they start, and how results are told."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import psutil

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "apps"
_SAMPLE_SECONDS = 0.25
_FAILED_TESTS = 1


@dataclass(frozen=True)
class Options:
    """What was typed. ``runs`` is None where each benchmark takes its own number."""

    runs: int | None = None
    apps: Path = EXAMPLES


@dataclass(frozen=True)
class Row:
    """One measured number."""

    what: str
    value: float
    unit: str = "s"


@dataclass(frozen=True)
class Claim:
    """A promise, and what was measured of it; met when it is not above the limit."""

    text: str
    measured: float
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured <= self.limit


@dataclass
class Result:
    """What one benchmark has to say."""

    name: str
    rows: list[Row] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader must know to believe the numbers."""

    def row(self, what: str, value: float, unit: str = "s") -> float:
        self.rows.append(Row(what, value, unit))
        return value

    def as_json(self) -> dict[str, Any]:
        claims = [{**asdict(claim), "met": claim.met} for claim in self.claims]
        return {**asdict(self), "claims": claims}


# --- timing ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    """A program that ended; ``cpu`` is that of its whole tree."""

    status: int
    wall: float
    cpu: float
    output: str


class ProgramFailed(Exception):
    """A program that a benchmark needs did not do its work, so there is nothing to measure."""


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    accept: Iterable[int] = (0,),
    whole_tree: bool = False,
) -> Ran:
    """Time a program to its end. Raises ProgramFailed for a status that is not accepted.

    CPU seconds are those of every process that was waited for. ``whole_tree`` adds what its
    samples saw of processes that were killed with their namespace and so never waited for;
    what is still missed makes the CPU seconds too low, never too high.
    """
    clock = time.perf_counter()
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=dict(env) if env is not None else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        sampler = _Sampler(process.pid) if whole_tree else None
        assert process.stdout is not None
        output = process.stdout.read().decode("utf-8", "replace")
        _, raw, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - clock
        process.returncode = os.waitstatus_to_exitcode(raw)
    cpu = usage.ru_utime + usage.ru_stime + (sampler.stop() if sampler else 0.0)
    if process.returncode not in tuple(accept):
        tail = "\n".join(output.splitlines()[-20:])
        raise ProgramFailed(f"{' '.join(argv)} ended with {process.returncode}:\n{tail}")
    return Ran(process.returncode, wall, cpu, output)


class _Sampler:
    """Adds up the CPU time that vanishes from a tree of processes between two looks at it."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._lost = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cpu-sampler", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        before = 0.0
        while not self._ended.wait(_SAMPLE_SECONDS):
            now = self._total()
            if now is None:
                return
            # a process that was waited for lives on in its parent's sum: only others are missed
            self._lost += max(0.0, before - now)
            before = now

    def _total(self) -> float | None:
        try:
            tree = [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return None
        total = 0.0
        for process in tree:
            try:
                if process is self._root and process.status() == psutil.STATUS_ZOMBIE:
                    return None
                total += sum(process.cpu_times()[:4])  # own and waited-for children's
            except psutil.Error:
                continue
        return total

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._lost


def in_turns(runs: int, *programs: Callable[[], Ran]) -> tuple[Ran, ...]:
    """The medians of each, taken in turns, so that a busy minute falls on all alike."""
    taken = [[program() for program in programs] for _ in range(runs)]
    return tuple(median_run(column) for column in zip(*taken, strict=True))


def median_run(runs: Sequence[Ran]) -> Ran:
    """The medians of wall and CPU seconds, with the end of the last run."""
    return replace(
        runs[-1],
        wall=statistics.median(ran.wall for ran in runs),
        cpu=statistics.median(ran.cpu for ran in runs),
    )


class Neighbours:
    """How much of the processors other programs took while a benchmark ran."""

    _QUIET = 0.1

    def __enter__(self) -> Self:
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        busy, ours, clock = (
            after - before for after, before in zip(self._now(), self._before, strict=True)
        )
        self.share = max(0.0, busy - ours) / (clock * cores())

    @staticmethod
    def _now() -> tuple[float, float, float]:
        times = psutil.cpu_times()
        own = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        ours = sum(usage.ru_utime + usage.ru_stime for usage in own)
        return sum(times[:8]) - times.idle - times.iowait, ours, time.perf_counter()

    def note(self) -> list[str]:
        if self.share <= self._QUIET:
            return []
        return [f"other programs took {self.share:.0%} of the processors: measure again alone"]


# --- pytest ---------------------------------------------------------------------------------


def environment(**more: str) -> dict[str, str]:
    """The caller's environment without what would change a pytest run."""
    return {**ordinary_environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **more}


def ordinary_environment() -> dict[str, str]:
    """As a person has it: no settings of pytest, no activated venv, and bytecode is kept."""
    unusual = re.compile(r"PYTEST_\w+|PYTHONDONTWRITEBYTECODE|PYTHONPATH|VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not unusual.fullmatch(name)}


def pytest_argv(project: Path, *args: str | Path, plugins: Sequence[str] = ()) -> list[str]:
    """pytest with the named plugins only, configured by the project and by nothing else."""
    loaded = [part for name in plugins for part in ("-p", name)]
    settings = ["-c", str(project / "pytest.ini"), f"--rootdir={project}", "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", "-q", *settings, *loaded, *map(str, args)]


def run_pytest(
    project: Path, *args: str | Path, plugins: Sequence[str] = (), whole_tree: bool = False
) -> Ran:
    """Failing items are fine: some benchmarks want them."""
    return run(
        pytest_argv(project, *args, plugins=plugins),
        cwd=project,
        env=environment(),
        accept=(0, _FAILED_TESTS),
        whole_tree=whole_tree,
    )


def evaluate(project: Path, *args: str | Path, xdist: bool = False) -> Ran:
    """A run of ours, with the CPU seconds of everything it started."""
    plugins = ("xdist", "pytest_dora.plugin") if xdist else ("pytest_dora.plugin",)
    return run_pytest(project, "--dora", *args, plugins=plugins, whole_tree=True)


def new_project(folder: Path, conftest: str = "") -> Path:
    """A folder of an evaluator, empty but for its configuration."""
    folder.mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    if conftest:
        (folder / "conftest.py").write_text(conftest)
    return folder


def tiny_apps(folder: Path, number: int) -> Path:
    """A folder of apps that are one page each."""
    for index in range(number):
        app = folder / f"app{index:04}"
        app.mkdir(parents=True)
        (app / "index.html").write_text(f"<h1>{index}</h1>\n")
    return folder


def outcomes(project: Path) -> dict[str, dict[str, str]]:
    """What the last run's report says of each app and check."""
    report = json.loads((project / ".dora" / "report.json").read_text())
    return {
        app["app_id"]: {check: one["outcome"] for check, one in app["checks"].items()}
        for app in report["apps"]
    }


def not_judged(project: Path) -> list[str]:
    """A note for each check whose time says nothing, because it did not do its work."""
    return [
        f"{app}: {check} is {outcome}, so its time is no evaluation's"
        for app, checks in outcomes(project).items()
        for check, outcome in checks.items()
        if outcome not in ("passed", "failed", "not_applicable")
    ]


# --- telling --------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 1),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("pytest", "pytest-xdist", "pytest-dora", "pydantic")},
    }


def cores() -> int:
    return len(os.sched_getaffinity(0))


def table(results: Iterable[Result]) -> str:
    """Numbers, then promises, for a person."""
    lines: list[str] = []
    for result in results:
        lines += ["", result.name]
        width = max(len(row.what) for row in result.rows)
        lines += [f"  {row.what:<{width}}  {row.value:>10.3f} {row.unit}" for row in result.rows]
        lines += [f"  note: {note}" for note in result.notes]
        for claim in result.claims:
            word = "met" if claim.met else "NOT MET"
            shown = f"{claim.measured:.3g} of at most {claim.limit:g} {claim.unit}".rstrip()
            lines.append(f"  {word}: {claim.text}: {shown}")
    return "\n".join(lines)

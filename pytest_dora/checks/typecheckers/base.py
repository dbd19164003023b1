"""What a type checker is given, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_dora.checks.outbox import Outbox
from pytest_dora.checks.tree import own_path
from pytest_dora.checks.typecheckers.parsers import Diagnostic, Printed
from pytest_dora.model.plan import TypecheckStep
from pytest_dora.model.result import Outcome
from pytest_dora.runtime.diagnosis import first_error
from pytest_dora.runtime.sandbox.spec import Completed

if TYPE_CHECKING:
    from pytest_dora.runtime.view import WorkspaceView

_OUTPUT_BYTES = 16 * 2**20
_SHOWN_BYTES = 40_000
_TEE = f'f=$1; shift; "$@" >"$f" 2>&1; rc=$?; head -c {_SHOWN_BYTES} "$f"; exit $rc'
COMMAND_NOT_FOUND = 127


@dataclass(frozen=True)
class Desk:
    """One type check to be made: where, of what, and within which time."""

    view: WorkspaceView
    step: TypecheckStep
    timeout: float

    def run(self, argv: Sequence[str], cwd: str | None = None) -> tuple[Completed, str]:
        """Run a checker; its whole output comes back, of which the log keeps the beginning."""
        box = Outbox(self.view)
        done = self.view.run(
            ("sh", "-c", _TEE, "sh", box.path("output.txt"), *argv),
            cwd=self.step.cwd if cwd is None else cwd,
            env=self.step.env,
            package=self.step.package,
            timeout=self.timeout,
            name=f"typecheck {self.step.name}",
            log="typecheck",
        )
        data = box.read("output.txt", _OUTPUT_BYTES)
        return done, data.decode("utf-8", "replace") if data is not None else done.output


@dataclass(frozen=True)
class Checked:
    """How one type check ended. ``reason`` is None exactly when it passed."""

    step: TypecheckStep
    outcome: Outcome
    reason: str | None
    message: str
    errors: tuple[Diagnostic, ...] = ()
    """Errors in the app's own files, by paths relative to its root."""
    elsewhere: int = 0
    """Errors in files of dependencies."""
    files: int | None = None
    by_code: Mapping[str, int] = field(default_factory=dict)
    emitted: bool = False
    """The checker had to write its output into the workspace."""


def failed(step: TypecheckStep, reason: str, message: str, **more: object) -> Checked:
    return Checked(step, Outcome.FAILED, reason, message[:500], **more)  # type: ignore[arg-type]


def unavailable(step: TypecheckStep, message: str) -> Checked:
    """The tool is not here, and that is not the app's fault."""
    return Checked(step, Outcome.INCONCLUSIVE, "tool_missing", message[:500])


def conclude(
    desk: Desk, done: Completed, text: str, printed: Printed, files: int | None
) -> Checked:
    """Passed only when the app's own files have no error and there was at least one of them.

    A tool that fails without any error that we can read fails the check with what it said.
    """
    step = desk.step
    if done.timed_out:
        return failed(step, "timeout", f"no end after {done.seconds:.0f} s", files=files)
    if done.killed_for == "sandbox":
        return Checked(step, Outcome.INCONCLUSIVE, "sandbox_lost", "the sandbox ended under it")
    if done.killed_for:
        return failed(step, f"killed_{done.killed_for}", f"ended by us: {done.killed_for}")
    own, elsewhere = _split(desk, printed.errors)
    codes = Printed(own).by_code()
    if own:
        return failed(
            step, "type_errors", str(own[0]), errors=own, elsewhere=elsewhere, files=files, by_code=codes
        )  # fmt: skip
    if not done.ok and not elsewhere:
        status = f"signal {done.signal}" if done.signal else f"exit {done.exit_code}"
        return failed(step, "command_failed", f"{status}: {first_error(text)}", files=files)
    if not files:
        return failed(step, "nothing_checked", "no file was checked", files=files)
    return Checked(
        step, Outcome.PASSED, None, f"no error in {count(files)}", elsewhere=elsewhere, files=files
    )


def count(files: int) -> str:
    """A number of files, in words."""
    return "1 file" if files == 1 else f"{files} files"


def _split(desk: Desk, errors: Sequence[Diagnostic]) -> tuple[tuple[Diagnostic, ...], int]:
    """The errors of the app's own files, and the number of those in dependencies."""
    own: list[Diagnostic] = []
    elsewhere = 0
    for one in errors:
        if one.path is None:
            own.append(one)
            continue
        path = own_path(one.path, desk.view.workdir, desk.step.cwd)
        parts = path.split("/") if path else []
        if path is None or "node_modules" in parts or "site-packages" in parts:
            elsewhere += 1
        else:
            own.append(Diagnostic(path, one.line, one.code, one.message))
    return tuple(own), elsewhere

"""How a stage of an app says that it cannot be reached."""

from __future__ import annotations

from enum import StrEnum

from pytest_dora.model.result import Finding, Outcome


class Stage(StrEnum):
    """States of an app, each reached lazily and at most once per session."""

    INSTALLED = "installed"
    TESTS_WORKSPACE = "tests_workspace"
    BUILT = "built"
    SERVER = "server"


OWNER = {
    Stage.INSTALLED: "build",
    Stage.TESTS_WORKSPACE: "build",
    Stage.BUILT: "build",
    Stage.SERVER: "runtime",
}
"""The check that reports a stage's failure; other checks are blocked by it."""


class StageFailed(Exception):
    """A stage could not be reached.

    ``outcome`` is FAILED (the app's fault), INCONCLUSIVE (a tool or service is missing here)
    or ERROR (ours). ``reason`` is a stable word, ``message`` one line for a person.
    """

    def __init__(
        self,
        stage: Stage,
        outcome: Outcome,
        reason: str,
        message: str,
        findings: tuple[Finding, ...] = (),
    ) -> None:
        super().__init__(message)
        self.stage = stage
        self.owner = OWNER[stage]
        self.outcome = outcome
        self.reason = reason
        self.message = message
        self.findings = findings

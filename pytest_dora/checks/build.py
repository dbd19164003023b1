"""The build check: a clean copy installs and builds, and its entry module imports."""

from __future__ import annotations

from pytest_dora.checks.entry import entry_findings
from pytest_dora.model.result import CheckResult, Finding, FindingOutcome, Outcome, Remediation
from pytest_dora.runtime.session import AppSession
from pytest_dora.runtime.stage import Stage, StageFailed
from pytest_dora.runtime.view import WorkspaceView


def check_build(session: AppSession) -> CheckResult:
    """Install, build, import. Raises StageFailed when a stage is not reached."""
    plan = session.plan
    findings = [_broken_manifest(error) for error in plan.errors]
    try:
        view = session.built()
    except StageFailed as failure:
        failure.findings = (
            *findings,
            *session.findings[Stage.INSTALLED],
            *session.findings[Stage.BUILT],
            *failure.findings,
        )
        raise
    findings += session.findings[Stage.INSTALLED]
    findings += session.findings[Stage.BUILT]
    findings += entry_findings(view, plan)
    return _result(session, view, tuple(findings))


_ADVISORY = frozenset(
    {
        "build.artefact",
        "build.hermetic",
        "build.lockfile_frozen",
        "build.lockfile_present",
        "build.network",
    }
)
"""Findings that are published and do not fail the build."""


def _result(session: AppSession, view: WorkspaceView, findings: tuple[Finding, ...]) -> CheckResult:
    decisive = [
        finding
        for finding in findings
        if finding.outcome is FindingOutcome.FAIL and finding.probe not in _ADVISORY
    ]
    installed = session.installed()
    timings = list(dict.fromkeys((*installed.timings, *view.timings)))
    seconds = {
        kind: sum(timing.seconds for timing in timings if timing.name.startswith(kind))
        for kind in ("install", "build")
    }
    reason = None
    if decisive:
        broken = decisive[0].probe == "build.manifest"
        reason = "broken_manifest" if broken else "import_failed"
    return CheckResult(
        app_id=session.app.app_id,
        check_id="build",
        outcome=Outcome.FAILED if decisive else Outcome.PASSED,
        reason=reason,
        message=decisive[0].message if decisive else _summary(session, seconds),
        findings=findings,
        timings=tuple(timings),
        measurements={
            "install_seconds": seconds["install"],
            "build_seconds": seconds["build"],
            "build_steps": len(session.plan.builds),
            "toolchains": dict(view.toolchain_versions()),
        },
    )


def _summary(session: AppSession, seconds: dict[str, float]) -> str:
    steps = len(session.plan.builds)
    built = f"{steps} build step{'s' * (steps != 1)} in {seconds['build']:.1f} s"
    return f"installed in {seconds['install']:.1f} s, " + (built if steps else "no build step")


def _broken_manifest(error: str) -> Finding:
    return Finding(
        probe="build.manifest",
        outcome=FindingOutcome.FAIL,
        tier="static",
        message=error,
        locations=(error.partition(": ")[0],),
        remediation=Remediation(effort="low", text=f"Correct the file: {error}"),
    )

"""The build check: a clean copy installs and builds, and its entry module imports."""

from __future__ import annotations

import json

from pytest_dora.model.plan import EntryModule
from pytest_dora.model.result import CheckResult, Finding, FindingOutcome, Outcome, Remediation
from pytest_dora.runtime.files import read_regular
from pytest_dora.runtime.sandbox.spec import Completed
from pytest_dora.runtime.session import AppSession
from pytest_dora.runtime.stage import Stage, StageFailed
from pytest_dora.runtime.view import OUT, WorkspaceView

_IMPORT_SECONDS = 40.0
_BROKEN = frozenset({"ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError",
                     "TabError", "NameError"})  # fmt: skip
"""What an import can raise that no service or variable would mend."""
_PROBE = """
import importlib, json, os, sys, traceback
module, out = sys.argv[1], sys.argv[2]
sys.argv = [module]
sys.path.insert(0, os.getcwd())
answer = {"error": None}
try:
    importlib.import_module(module)
except BaseException as error:
    answer = {"error": type(error).__name__, "message": str(error)[:500]}
    traceback.print_exc()
with open(out, "w") as file:
    json.dump(answer, file)
sys.stdout.flush()
os._exit(0 if answer["error"] is None else 1)
"""


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
    for entry in plan.entry_modules:
        findings.append(_import_entry(view, entry))
    return _result(session, view, tuple(findings))


_ADVISORY = frozenset(
    {"build.lockfile_present", "build.lockfile_frozen", "build.hermetic", "build.network"}
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


def _import_entry(view: WorkspaceView, entry: EntryModule) -> Finding:
    name = f"import-{entry.module}.json"
    done = view.run(
        ("python", "-c", _PROBE, entry.module, f"{OUT}/{name}"),
        cwd=entry.cwd,
        package=entry.package,
        timeout=_IMPORT_SECONDS,
        name=f"import {entry.module}",
    )
    answer = _answer(read_regular(view.out, name, 65536))
    error = answer.get("error")
    where = f"{entry.module} ({entry.source})"
    if error in _BROKEN:
        message = f"import of {where}: {error}: {answer.get('message')}"
        return _import_finding(FindingOutcome.FAIL, message, done, entry)
    if error is not None:
        # it parses and its imports resolve; what it then misses is for runtime to judge
        message = f"import of {where} stopped with {error}: {answer.get('message')}"
        return _import_finding(FindingOutcome.UNAVAILABLE, message, done, entry)
    if done.ok:
        return _import_finding(FindingOutcome.PASS, f"{where} imports", done, entry)
    if done.timed_out or done.exit_code == 0:
        message = f"{where} does not return from import: it seems to serve at once"
        return _import_finding(FindingOutcome.UNAVAILABLE, message, done, entry)
    message = f"import of {where} ended the interpreter (status {done.exit_code or done.signal})"
    return _import_finding(FindingOutcome.FAIL, message, done, entry)


def _answer(raw: bytes | None) -> dict[str, object]:
    try:
        parsed = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _import_finding(
    outcome: FindingOutcome, message: str, done: Completed, entry: EntryModule
) -> Finding:
    fix = None
    if outcome is FindingOutcome.FAIL:
        fix = Remediation(
            effort="medium", text=f"Make `python -c 'import {entry.module}'` work: {message}"
        )
    return Finding(
        probe="build.import",
        outcome=outcome,
        tier="dynamic",
        message=message[:500],
        evidence={"exit_code": done.exit_code, "seconds": round(done.seconds, 3)},
        remediation=fix,
    )

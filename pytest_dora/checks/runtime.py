"""The runtime check: the app starts from what it declares, answers HTTP and stays alive."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from typing import Any

from pytest_dora.model.plan import Plan, Role
from pytest_dora.model.result import (
    CheckResult,
    Finding,
    FindingOutcome,
    Outcome,
    Remediation,
    seen,
)
from pytest_dora.runtime.diagnosis import first_error
from pytest_dora.runtime.http import NoAnswer, Response
from pytest_dora.runtime.sandbox.spec import SandboxLost
from pytest_dora.runtime.server import RunningApp
from pytest_dora.runtime.session import AppSession

HEALTH_PATHS = (
    "/health",
    "/healthcheck",
    "/api/health",
    "/api/healthcheck",
    "/api/v1/healthcheck",
    "/api/v1/utils/health-check/",
    "/health-check",
    "/healthz",
    "/readyz",
    "/livez",
    "/up",
    "/_stcore/health",
)
_UP_WORDS = frozenset({"ok", "pass", "up", "healthy", "true", "running", "alive", "available"})


def check_runtime(session: AppSession) -> CheckResult:
    """Start, answer, survive the soak; health and stand-ins are findings beside."""
    app = session.server()
    soak_until = time.perf_counter() + session.settings.limits.soak_seconds
    findings = [_answered(app), *_stand_ins(app), *_earlier(app), _health(app, session.plan)]
    ended = _soak(app, soak_until)
    survived = ended is None
    findings.append(_soaked(app, ended, session.settings.limits.soak_seconds))
    findings += _workers(app)
    if survived:
        again = _still_answers(app)
        findings.append(again)
        survived = again.outcome is FindingOutcome.PASS
    start = next(timing for timing in app.timings if timing.name == "start")
    decisive = [one for one in findings if one.probe in ("runtime.alive", "runtime.still_answers")]
    status = app.first_response.status
    return CheckResult(
        app_id=session.app.app_id,
        check_id="runtime",
        outcome=Outcome.PASSED if survived else Outcome.FAILED,
        reason=None if survived else "died",
        message=f"{status} on port {app.port} after {start.seconds:.1f} s ({app.plan.source})"
        if survived
        else decisive[-1].message,
        findings=tuple(findings),
        timings=tuple(app.timings),
        measurements={
            "start_seconds": start.seconds,
            "port": app.port,
            "ports": list(app.ports),
            "status": status,
            "source": app.plan.source,
            "dev_server": app.plan.dev_server,
            "peak_memory_bytes": _peak(app),
        },
    )


def _answered(app: RunningApp) -> Finding:
    return _finding(
        "runtime.answer",
        True,
        f"GET / answers {app.first_response.status} on port {app.port}",
        content_type=app.first_response.content_type,
        ports=list(app.ports),
        source=app.plan.source,
        dev_server=app.plan.dev_server,
    )


def _stand_ins(app: RunningApp) -> list[Finding]:
    return [
        _finding(
            "runtime.stand_in",
            True,
            f"{one.replaces} is not installed here: port {one.port} is served by our stand-in",
            replaces=one.replaces,
            port=one.port,
        )
        for one in app.stand_ins
    ]


def _earlier(app: RunningApp) -> list[Finding]:
    return [
        Finding(
            probe="runtime.declared_start",
            outcome=FindingOutcome.UNAVAILABLE,
            tier="dynamic",
            message=f"{source} did not start: {failure.message}"[:500],
            evidence={"source": source, "reason": failure.reason},
        )
        for source, failure in app.failed_before
    ]


def _soak(app: RunningApp, until: float) -> tuple[str, int] | None:
    """Wait on the processes; how the first one ended, or None when all lived."""
    while (left := until - time.perf_counter()) > 0:
        ended = app.ended()
        if ended is not None:
            return ended
        if not app.processes:
            return None
        app.processes[0][1].wait(min(left, 0.1))
    return app.ended()


def _soaked(app: RunningApp, ended: tuple[str, int] | None, seconds: float) -> Finding:
    if ended is None:
        return _finding("runtime.alive", True, f"alive after {seconds:g} s")
    name, status = ended
    killed = app.view.sandbox.killed_for
    how = f"ended by us: too much {killed}" if killed else f"status {status}"
    said = first_error(app.output())
    return _finding("runtime.alive", False, f"{name} ended after answering ({how}): {said}")


def _workers(app: RunningApp) -> list[Finding]:
    """Workers that ended: told, for the app still answers, but some of its work is not done."""
    found = []
    for process, running in app.processes:
        status = running.poll()
        if process.role is Role.WORKER and status is not None:
            said = first_error(running.log.tail())
            message = f"{process.name} ended with status {status}: {said}"
            found.append(_finding("runtime.worker", False, message, source=process.source))
    return found


def _still_answers(app: RunningApp) -> Finding:
    try:
        status = app.request("/", timeout=10).status
    except NoAnswer as error:
        return _finding("runtime.still_answers", False, f"no answer after the soak: {error}")
    return _finding("runtime.still_answers", status < 500, f"GET / answers {status} after the soak")


# --- health ---------------------------------------------------------------------------------


def _health(app: RunningApp, plan: Plan) -> Finding:
    """The first declared or conventional path that is told from a fallback page."""
    try:
        control = app.request(f"/{secrets.token_hex(12)}")
    except NoAnswer:
        control = Response(0)
    candidates = dict.fromkeys((*plan.health_paths, *HEALTH_PATHS))
    for port in dict.fromkeys((app.port, *(port for port in app.ports))):
        for path in candidates:
            try:
                answer = app.request(path, port=port, timeout=3)
            except (NoAnswer, SandboxLost):
                continue
            if is_health(answer, control, app.first_response):
                return _finding(
                    "runtime.health", True, f"GET {path} on port {port} is health",
                    path=path, port=port, status=answer.status, body=answer.text[:200],
                )  # fmt: skip
    return Finding(
        probe="runtime.health",
        outcome=FindingOutcome.NOT_APPLICABLE,
        tier="dynamic",
        message="no health endpoint that differs from a fallback page",
        remediation=Remediation(
            effort="low", text='Serve GET /health with JSON such as {"status": "ok"}.'
        ),
    )


def is_health(answer: Response, control: Response, root: Response) -> bool:
    """2xx, JSON or a short text, and neither the page of ``/`` nor that of an unknown path."""
    if not 200 <= answer.status < 300:
        return False
    if _print(answer) in (_print(control), _print(root)) and answer.status in (
        control.status,
        root.status,
    ):
        return False
    if answer.content_type.endswith("json"):
        return _says_up(answer)
    return len(answer.body) <= 200 and b"<" not in answer.body


def _says_up(answer: Response) -> bool:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return False
    if isinstance(body, dict) and isinstance(body.get("status"), str):
        return body["status"].lower() in _UP_WORDS
    return not (isinstance(body, dict) and "error" in body)


def _print(answer: Response) -> str:
    return hashlib.sha256(answer.body).hexdigest()


def _peak(app: RunningApp) -> int | None:
    try:
        return app.view.sandbox.status()["peak_bytes"]
    except SandboxLost:
        return None


def _finding(probe: str, passed: bool, message: str, **evidence: Any) -> Finding:
    return seen(probe, FindingOutcome.PASS if passed else FindingOutcome.FAIL, message, **evidence)

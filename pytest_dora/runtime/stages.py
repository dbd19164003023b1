"""How each stage of an app is reached: installed, built, answering."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_dora.model.plan import BuildStep, Package
from pytest_dora.model.result import Finding, FindingOutcome, Outcome, Remediation, seen
from pytest_dora.runtime import environment
from pytest_dora.runtime import install as recipes
from pytest_dora.runtime.diagnosis import first_error, missing_variable, network_trouble
from pytest_dora.runtime.files import marks, write_new
from pytest_dora.runtime.sandbox.spec import Completed
from pytest_dora.runtime.server import RunningApp, StartFailed, start
from pytest_dora.runtime.stage import Stage, StageFailed
from pytest_dora.runtime.view import Access, WorkspaceView
from pytest_dora.runtime.workspace import DEPENDENCY_FOLDERS, clean_copy, give_to

if TYPE_CHECKING:
    from pytest_dora.runtime.session import AppSession

_CANDIDATES = 4
_THE_APP_ITSELF = frozenset({"http_5xx", "env_missing"})
"""Failures of an app that was started rightly: another command would start the same app."""
_MOST_WITHOUT_WHEELS = 10
_NO_WHEEL = re.compile(r"Wheels are required for `([A-Za-z0-9._-]+)`")
_NO_SUCH_PACKAGE = re.compile(
    r"E404|No matching version found|404 Not Found|was not found in the package registry"
    r"|because .{1,200} (?:was not found|has no version)|No solution found"
)


def install(session: AppSession) -> WorkspaceView:
    """Clean copy, then every package by the strictest recipe that works."""
    plan = session.plan
    if not plan.recognised:
        broken = plan.errors[0] if plan.errors else None
        reason = "broken_manifest" if broken else "unrecognised"
        message = broken or "nothing in this folder says how it is installed or started"
        raise StageFailed(Stage.INSTALLED, Outcome.FAILED, reason, message)
    tools = session.toolchains
    root = session.folder / "installed"
    session.engine.discard(root)
    copied = clean_copy(session.path, root, session.settings.limits.workspace_bytes)
    findings = session.findings[Stage.INSTALLED]
    if copied.skipped:
        findings.append(
            seen(
                "build.copy",
                FindingOutcome.PASS,
                f"left out: {'; '.join(copied.skipped[:5])}",
                skipped=list(copied.skipped[:50]),
            )
        )
    log = "build"
    fetch = WorkspaceView(
        session.engine, session.app.app_id, plan, root, tools,
        Access(registries=True, cache_writable=True, env=environment.install(True)), log,
    )  # fmt: skip
    scripts = WorkspaceView(
        session.engine, session.app.app_id, plan, root, tools,
        Access(registries=True, env=environment.install(False)), log,
    )  # fmt: skip
    pristine = WorkspaceView(session.engine, session.app.app_id, plan, root, tools, Access(), log)
    owner = _Owner(scripts, fetch)
    try:
        for package in plan.packages:
            _install_package(session, package, owner)
        owner.switch(scripts)
    finally:
        _note_refused(findings, fetch, scripts)
        fetch.close()
        scripts.close()
        pristine.timings = [*fetch.timings, *scripts.timings]
    return pristine


class _Owner:
    """Hands the tree from one unprivileged user to the other between commands."""

    def __init__(self, scripts: WorkspaceView, fetch: WorkspaceView) -> None:
        self.scripts, self.fetch = scripts, fetch
        self._current: WorkspaceView | None = None

    def switch(self, view: WorkspaceView) -> WorkspaceView:
        if self._current is not view:
            give_to(view.root, view.uid)
            self._current = view
        return view


def _install_package(session: AppSession, package: Package, owner: _Owner) -> None:
    python = session.python(package)
    choices = recipes.attempts(package, owner.scripts.root, python)
    findings = session.findings[Stage.INSTALLED]
    where = "" if package.path == "." else f" in {package.path}"
    if package.lockfile is None and choices:
        findings.append(
            seen(
                "build.lockfile_present", FindingOutcome.FAIL,
                f"no lockfile{where}: the next install may choose other versions",
                remediation=Remediation(
                    effort="low", text=f"Commit the lockfile of {package.manager.value}."
                ),
            )
        )  # fmt: skip
    failed: Completed | None = None
    for attempt in choices:
        done = _run_attempt(session, package, attempt, owner)
        if done is not None and _out_of_reach(done):
            done = _run_attempt(session, package, attempt, owner)
        if done is None:
            if package.lockfile is not None and not attempt.frozen:
                findings.append(
                    seen(
                        "build.lockfile_frozen", FindingOutcome.FAIL,
                        f"the lockfile does not fit the manifest{where}",
                        remediation=Remediation(
                            effort="low", text=f"Run `{attempt.name}` and commit the lockfile."
                        ),
                    )
                )  # fmt: skip
            findings.append(seen("build.install", FindingOutcome.PASS, f"{attempt.name}{where}"))
            return
        failed = done  # what the most lenient recipe says, not what our own strictness broke
        if _out_of_reach(done):
            break
    if failed is not None:
        raise _install_failed(failed, where)


def _run_attempt(
    session: AppSession, package: Package, attempt: recipes.Attempt, owner: _Owner
) -> Completed | None:
    """None when every command succeeded, else how the first failing one ended."""
    for command in attempt.commands:
        view = owner.fetch if command.trust is recipes.Trust.FETCH else owner.scripts
        run = functools.partial(
            owner.switch(view).run,
            cwd=package.path,
            env=command.env,
            package=package.path,
            timeout=session.settings.limits.install_seconds,
            name=f"install {' '.join(command.argv[:3])}",
        )
        if command.wheels_only:
            _install_wheels(view, command.argv, run)
        elif not (done := run(command.argv)).ok:
            return done
    return None


def _install_wheels(
    view: WorkspaceView, argv: tuple[str, ...], run: Callable[[Sequence[str]], Completed]
) -> None:
    """Install all that has wheels, learning from each refusal what has none."""
    left_out: list[str] = []
    for _ in range(_MOST_WITHOUT_WHEELS):
        view.out.mkdir(parents=True, exist_ok=True)
        write_new(view.out, "no-wheels.txt", "\n".join(left_out).encode())
        done = run((*argv, "--excludes", f"{recipes.OUT}/no-wheels.txt"))
        found = [name for name in _NO_WHEEL.findall(done.output) if name not in left_out]
        if done.ok or not found:
            return
        left_out += found


def _out_of_reach(done: Completed) -> bool:
    """Whether a registry could not be reached, which says nothing about the app."""
    return network_trouble(done.output) and not _NO_SUCH_PACKAGE.search(done.output)


def _install_failed(done: Completed, where: str) -> StageFailed:
    command = " ".join(done.argv[:4])
    said = first_error(done.output)
    if done.timed_out:
        outcome, reason = Outcome.FAILED, "timeout"
    elif _out_of_reach(done):
        outcome, reason = Outcome.INCONCLUSIVE, "network"
    else:
        outcome, reason = Outcome.FAILED, "install_failed"
    finding = seen(
        "build.install", FindingOutcome.FAIL, f"{command}{where}: {said}",
        remediation=Remediation(effort="medium", text=f"Make `{command}` pass: {said}"),
        exit_code=done.exit_code, command=" ".join(done.argv),
    )  # fmt: skip
    return StageFailed(Stage.INSTALLED, outcome, reason, f"{command}{where}: {said}", (finding,))


def _note_refused(findings: list[Finding], *views: WorkspaceView) -> None:
    hosts = [host for view in views if view.ledger for host in view.ledger.refused]
    if hosts:
        findings.append(
            seen(
                "build.network", FindingOutcome.FAIL,
                f"install tried to reach {', '.join(hosts[:5])}: refused", refused=list(hosts),
                remediation=Remediation(
                    effort="medium",
                    text="Depend on package registries only, or allow the host with "
                    "--dora-allow-host.",
                ),
            )
        )  # fmt: skip


# --- built ----------------------------------------------------------------------------------


def build(session: AppSession) -> WorkspaceView:
    """Every declared build step, without a network first, then with the registries."""
    base = session.installed()
    plan = session.plan
    root = session.folder / "built"
    if plan.tests or plan.typechecks:
        session.engine.discard(root)
        session.copy_tree(base.root, root)
        session.copy_ahead(base.root)
    else:
        root = base.root  # nobody else will ask for the pristine tree
    view = session.view(root, Stage.BUILT, "build")
    findings = session.findings[Stage.BUILT]
    for step in plan.builds:
        before = _snapshot(view, step)
        done = view.run(
            step.argv, cwd=step.cwd, env=step.env, package=step.package,
            timeout=session.settings.limits.build_seconds, name=f"build {step.name}",
        )  # fmt: skip
        if not done.ok and not done.timed_out and done.killed_for is None:
            done = _with_registries(session, view, step, done, findings)
        if not done.ok:
            raise _build_failed(done, step.source)
        findings.append(seen("build.step", FindingOutcome.PASS, f"{step.source}: exit 0"))
        findings.append(_artefact(step, done, changed=_snapshot(view, step) != before))
    view.close()  # ends what a build left running; the tree stays
    return view


def _with_registries(
    session: AppSession,
    view: WorkspaceView,
    step: BuildStep,
    failed: Completed,
    findings: list[Finding],
) -> Completed:
    """Try a failed build step again with the registries in reach; needing them is a finding."""
    online = WorkspaceView(
        session.engine, session.app.app_id, session.plan, view.root, session.toolchains,
        Access(registries=True, env={**environment.declared(session.plan), **environment.install(False)}),
        "build",
    )  # fmt: skip
    try:
        done = online.run(
            step.argv, cwd=step.cwd, env=step.env, package=step.package,
            timeout=session.settings.limits.build_seconds, name="build with registries",
        )  # fmt: skip
        _note_refused(findings, online)
    finally:
        online.close()
    if not done.ok:
        return failed
    view.timings.extend(online.timings)
    findings.append(
        seen("build.hermetic", FindingOutcome.FAIL, "the build needs the network",
                 remediation=Remediation(
                     effort="medium", text="Fetch everything at install time, from the lockfile."))
    )  # fmt: skip
    return done


def _snapshot(view: WorkspaceView, step: BuildStep) -> list[tuple[str, int, int]]:
    places = step.artefacts or (".",)
    return [mark for name in places for mark in marks(view.root, name, skip=DEPENDENCY_FOLDERS)]


def _artefact(step: BuildStep, done: Completed, *, changed: bool) -> Finding:
    """What a build left. Nothing where an artefact is expected is a failure; nothing at all,
    where no place is known, is only told: ``"build": "echo nothing to build"`` is no defect.
    """
    command = " ".join(done.argv)
    if changed:
        where = ", ".join(step.artefacts) or "the app's folder"
        return seen("build.artefact", FindingOutcome.PASS, f"`{command}` left files in {where}")
    if step.artefacts:
        places = ", ".join(step.artefacts)
        message = f"`{command}` exited 0 and left nothing in {places}"
        raise StageFailed(Stage.BUILT, Outcome.FAILED, "no_artefact", message)
    return seen(
        "build.artefact",
        FindingOutcome.FAIL,
        f"`{command}` exited 0 and changed no file",
        remediation=Remediation(effort="low", text="Remove a build script that builds nothing."),
    )


def _build_failed(done: Completed, source: str) -> StageFailed:
    said = first_error(done.output)
    command = " ".join(done.argv)
    if done.timed_out:
        reason = "timeout"
    elif done.killed_for:
        reason = f"killed_{done.killed_for}"
    else:
        reason = "env_missing" if missing_variable(done.output) else "build_failed"
    finding = seen(
        "build.step", FindingOutcome.FAIL, f"{command} ({source}): {said}",
        remediation=Remediation(effort="medium", text=f"Make `{command}` pass: {said}"),
        exit_code=done.exit_code, command=command, source=source,
    )  # fmt: skip
    return StageFailed(Stage.BUILT, Outcome.FAILED, reason, f"{command}: {said}", (finding,))


# --- answering ------------------------------------------------------------------------------


def serve(session: AppSession) -> RunningApp:
    """The first start plan that leads to an answer; why earlier ones failed is kept."""
    base = session.built()
    plan, limits = session.plan, session.settings.limits
    if not plan.starts:
        raise StageFailed(
            Stage.SERVER, Outcome.FAILED, "no_start", "nothing in this app says how it is started"
        )
    failures: list[tuple[str, StartFailed]] = []
    for candidate in plan.starts[:_CANDIDATES]:
        view = session.view(base.root, Stage.SERVER, "runtime")
        try:
            with session.engine.tokens.cpu():
                app = start(view, plan, candidate, limits.start_seconds, limits.prepare_seconds)
        except StartFailed as failure:
            failures.append((candidate.source, failure))
            view.close()
            session.renew_services(Stage.SERVER)
            if failure.reason in _THE_APP_ITSELF:
                break
            continue
        app.failed_before = failures
        return app
    raise _start_failed(session, failures)


def _start_failed(session: AppSession, failures: list[tuple[str, StartFailed]]) -> StageFailed:
    source, first = failures[0]
    missing = session.services(Stage.SERVER).missing
    findings = tuple(
        seen(
            "runtime.start", FindingOutcome.FAIL, f"{where}: {failure.message}",
            source=where, reason=failure.reason,
            remediation=Remediation(effort="medium", text=f"Make `{where}` start: {failure.message}"),
        )
        for where, failure in failures
    )  # fmt: skip
    if missing and first.reason != "env_missing":
        names = ", ".join(kind.value for kind in missing)
        message = f"needs {names}, which is not provided here; {first.message}"
        return StageFailed(Stage.SERVER, Outcome.INCONCLUSIVE, "service_missing", message, findings)
    return StageFailed(
        Stage.SERVER, Outcome.FAILED, first.reason, f"{first.message} ({source})", findings
    )

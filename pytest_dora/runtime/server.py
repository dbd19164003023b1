"""Starting an app by one of its start plans, and talking to it while it runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_dora.model.base import utc_now
from pytest_dora.model.plan import Plan, Process, Role, StartPlan
from pytest_dora.model.result import Timing
from pytest_dora.runtime import environment
from pytest_dora.runtime.diagnosis import first_error, missing_variable
from pytest_dora.runtime.http import NoAnswer, Response, request
from pytest_dora.runtime.sandbox.box import Process as Running
from pytest_dora.runtime.sandbox.spec import Listener, SandboxLost
from pytest_dora.runtime.standin import StandIn
from pytest_dora.runtime.view import WorkspaceView

_POLL_SECONDS = 0.02
_PATIENCE_WITH_5XX = 4.0
_DEFAULT_PORT = 8000


class StartFailed(Exception):
    """One start plan did not lead to an app that answers."""

    def __init__(self, reason: str, message: str, output: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.output = output


@dataclass
class RunningApp:
    """An app that answers HTTP in its sandbox."""

    view: WorkspaceView
    plan: StartPlan
    processes: list[tuple[Process, Running]]
    stand_ins: list[StandIn]
    port: int
    address: str
    first_response: Response
    timings: list[Timing]
    ports: tuple[int, ...] = ()
    failed_before: list[tuple[str, StartFailed]] = field(default_factory=list)
    """Start plans that were tried first, as (source, failure)."""

    def request(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        port: int | None = None,
        timeout: float = 5.0,
    ) -> Response:
        """Send one request to the app's main port (or ``port``). Raises NoAnswer."""
        port = self.port if port is None else port
        for stand_in in self.stand_ins:
            if stand_in.port == port:
                return stand_in.request(path, method=method, headers=headers, body=body)
        try:
            return request(
                lambda: self.view.sandbox.connect(port, self.address),
                path,
                method=method,
                headers=headers,
                body=body,
                timeout=timeout,
            )
        except SandboxLost as error:
            raise NoAnswer(str(error)) from error

    def ended(self) -> tuple[str, int] | None:
        """Name and status of a process that should have stayed, or None while all live."""
        for process, running in self.processes:
            status = running.poll()
            if status is not None and process.role is Role.WEB:
                return process.name, status
        return None

    def output(self) -> str:
        return "\n".join(running.log.tail() for _, running in self.processes)

    def close(self) -> None:
        for stand_in in self.stand_ins:
            stand_in.close()
        self.view.close()
        for _, running in self.processes:
            running.log.close()


def start(
    view: WorkspaceView, app_plan: Plan, plan: StartPlan, seconds: float, prepare_seconds: float
) -> RunningApp:
    """Run the plan's steps and processes until the app answers below 500. Raises StartFailed."""
    main_port = plan.port or _DEFAULT_PORT
    env = environment.ports(main_port)
    timings = [_prepare(view, step_env=env, plan=plan, seconds=prepare_seconds)]
    started, clock = utc_now(), time.perf_counter()
    processes: list[tuple[Process, Running]] = []
    stand_ins: list[StandIn] = []
    try:
        for number, process in enumerate(plan.processes):
            if process.role is Role.PROXY and not _available(process.argv[0]):
                stand_ins.append(StandIn(view, process))
                continue
            own = environment.ports(main_port + number) if number else env
            processes.append((process, _spawn(view, process, own, main_port + number)))
        app = _await_answer(view, plan, processes, stand_ins, clock + seconds, app_plan)
    except BaseException:
        for stand_in in stand_ins:
            stand_in.close()
        view.close()
        for _, running in processes:
            running.log.close()
        raise
    took = Timing(name="start", started_at=started, seconds=time.perf_counter() - clock)
    app.timings = [*[timing for timing in timings if timing is not None], took]
    return app


def _prepare(
    view: WorkspaceView, step_env: Mapping[str, str], plan: StartPlan, seconds: float
) -> Timing | None:
    started, clock = utc_now(), time.perf_counter()
    for step in plan.prepare:
        done = view.run(
            step.argv,
            cwd=step.cwd,
            env={**step_env, **step.env},
            package=step.package,
            timeout=seconds,
            name=f"prepare {step.name}",
            log="runtime",
            sweep=False,
        )
        if not done.ok:
            ended = "timed out" if done.timed_out else f"exited with {done.exit_code}"
            said = first_error(done.output)
            lacks = missing_variable(done.output)
            reason = "env_missing" if lacks else "prepare_failed"
            raise StartFailed(reason, f"{' '.join(step.argv)} {ended}: {said}", done.output)
    if not plan.prepare:
        return None
    return Timing(name="prepare", started_at=started, seconds=time.perf_counter() - clock)


def _available(program: str) -> bool:
    return shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin") is not None


def _spawn(view: WorkspaceView, process: Process, env: Mapping[str, str], port: int) -> Running:
    argv = [word.replace("{port}", str(port)) for word in process.argv]
    try:
        return view.spawn(
            argv,
            cwd=process.cwd,
            env={**env, **process.env},
            package=process.package,
            log="runtime",
        )
    except OSError as error:
        raise StartFailed("command_not_found", f"{argv[0]}: {error.strerror or error}") from error


def _await_answer(
    view: WorkspaceView,
    plan: StartPlan,
    processes: list[tuple[Process, Running]],
    stand_ins: list[StandIn],
    deadline: float,
    app_plan: Plan,
) -> RunningApp:
    seen_5xx: tuple[Listener, Response] | None = None
    give_up = deadline
    app = RunningApp(view, plan, processes, stand_ins, 0, "", Response(0), [])
    if stand_ins and not processes:
        return _static_site(app)
    while time.perf_counter() < min(deadline, give_up):
        ended = app.ended()
        if ended is not None:
            raise _exited(app, ended, app_plan)
        listeners = view.sandbox.listeners()
        for listener in _preferred(listeners, plan.port):
            answer = _probe(view, listener, deadline)
            if answer is None:
                continue
            if answer.status < 500:
                app.port, app.address = listener.port, _address(listener)
                app.first_response = answer
                app.ports = tuple(sorted({one.port for one in listeners}))
                return app
            if seen_5xx is None:
                give_up = time.perf_counter() + _PATIENCE_WITH_5XX
            seen_5xx = (listener, answer)
        time.sleep(_POLL_SECONDS)
    output = app.output()
    if seen_5xx is not None:
        listener, answer = seen_5xx
        message = f"GET / on port {listener.port} answers {answer.status}: {first_error(output)}"
        raise StartFailed("http_5xx", message, output)
    killed = view.sandbox.killed_for
    if killed:
        raise StartFailed(f"killed_{killed}", f"ended by us: too much {killed}", output)
    if view.sandbox.listeners():
        raise StartFailed("no_http", "a port is open and nothing on it answers HTTP", output)
    said = first_error(output)
    raise StartFailed("no_port", f"no port was opened within the time allowed: {said}", output)


def _static_site(app: RunningApp) -> RunningApp:
    stand_in = app.stand_ins[0]
    answer = stand_in.request("/")
    if answer.status >= 400:
        raise StartFailed("no_http", f"the static site answers {answer.status} to GET /")
    app.port, app.address, app.first_response = stand_in.port, "127.0.0.1", answer
    app.ports = (stand_in.port,)
    return app


def _exited(app: RunningApp, ended: tuple[str, int], app_plan: Plan) -> StartFailed:
    name, status = ended
    for _, running in app.processes:
        running.log.close(0.5)  # what it said last is still in the pipe
    output = app.output()
    killed = app.view.sandbox.killed_for
    if killed:
        return StartFailed(f"killed_{killed}", f"{name} was ended by us: too much {killed}", output)
    lacks = missing_variable(output, [one.name for one in app_plan.env if one.required])
    how = f"signal {-status}" if status < 0 else f"status {status}"
    said = first_error(output)
    if lacks and status != 0:
        return StartFailed(
            "env_missing", f"{name} exited with {how}: {lacks} is not declared ({said})", output
        )
    if status == 0:
        return StartFailed(
            "exited_unbound", f"{name} exited with status 0 and served nothing", output
        )
    return StartFailed("exited", f"{name} exited with {how}: {said}", output)


def _preferred(listeners: Sequence[Listener], declared: int | None) -> list[Listener]:
    """The declared port first, then the order of port numbers; one entry per port."""
    by_port = {
        one.port: one for one in sorted(listeners, key=lambda one: one.address, reverse=True)
    }
    return sorted(by_port.values(), key=lambda one: (one.port != declared, one.port))


def _address(listener: Listener) -> str:
    return "::1" if listener.address == "::1" else "127.0.0.1"


def _probe(view: WorkspaceView, listener: Listener, deadline: float) -> Response | None:
    timeout = max(0.5, min(15.0, deadline - time.perf_counter()))
    try:
        return request(
            lambda: view.sandbox.connect(listener.port, _address(listener)),
            "/",
            headers={"Accept": "text/html,*/*"},
            timeout=timeout,
        )
    except NoAnswer:
        return None

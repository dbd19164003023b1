"""Whether what an app is started from can be loaded: its modules import, its scripts parse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from posixpath import normpath

from pytest_dora.checks.outbox import Outbox
from pytest_dora.model.plan import EntryModule, Plan, Process
from pytest_dora.model.result import Finding, FindingOutcome, Remediation, seen
from pytest_dora.runtime.files import read_regular
from pytest_dora.runtime.sandbox.spec import Completed
from pytest_dora.runtime.view import WorkspaceView

_SECONDS = 40.0
_READS_ONLY = {"PYTHONDONTWRITEBYTECODE": "1"}
"""Nobody waits for bytecode here: the tests and the server that follow leave it for one another."""
_ANSWER_BYTES = 65536
_BROKEN = frozenset({"ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError",
                     "TabError", "NameError"})  # fmt: skip
"""What an import can raise that no service or variable would mend."""
_IMPORT = """
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
_PARSE = """
import ast, importlib.util, json, os, sys
path, out = sys.argv[1], sys.argv[2]
sys.path[:0] = [os.path.dirname(os.path.abspath(path)), os.getcwd()]
answer = {"error": None}

def found(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return name in sys.modules

try:
    with open(path, "rb") as file:
        body = ast.parse(file.read(), path).body
    for node in body:  # what stands in try, if or def may be missing on purpose
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        for name in names:
            if not found(name.partition(".")[0]):
                raise ModuleNotFoundError(f"line {node.lineno}: no module named {name!r}")
except (SyntaxError, ValueError, ModuleNotFoundError) as error:
    answer = {"error": type(error).__name__, "message": str(error)[:500]}
with open(out, "w") as file:
    json.dump(answer, file)
"""


def entry_findings(view: WorkspaceView, plan: Plan) -> Iterator[Finding]:
    """One finding for each entry module, and for each script that only its server would run."""
    for entry in plan.entry_modules:
        yield _imports(view, entry)
    imported = {
        normpath(f"{entry.cwd}/{entry.module.replace('.', '/')}.py") for entry in plan.entry_modules
    }
    for process, script in _scripts(plan):
        path = normpath(f"{process.cwd}/{script}")
        if path not in imported and read_regular(view.root, path, 1) is not None:
            imported.add(path)
            yield _parses(view, process, path)


def _scripts(plan: Plan) -> Iterator[tuple[Process, str]]:
    """The Python files that the most trustworthy start plan names (``streamlit run app.py``)."""
    for start in plan.starts[:1]:
        for process in start.processes:
            for word in process.argv:
                if word.endswith(".py") and not word.startswith(("-", "/", "..")):
                    yield process, word


def _imports(view: WorkspaceView, entry: EntryModule) -> Finding:
    answer, done = _ask(view, _IMPORT, entry.module, entry.cwd, entry.package)
    error, where = answer.get("error"), f"{entry.module} ({entry.source})"
    if error in _BROKEN:
        message = f"import of {where}: {error}: {answer.get('message')}"
        return _finding("import", FindingOutcome.FAIL, message, done)
    if error is not None:
        # it parses and its imports resolve; what it then misses is for runtime to judge
        message = f"import of {where} stopped with {error}: {answer.get('message')}"
        return _finding("import", FindingOutcome.UNAVAILABLE, message, done)
    if done.ok and answer:
        return _finding("import", FindingOutcome.PASS, f"{where} imports", done)
    if done.timed_out or done.exit_code == 0:
        message = f"{where} does not return from import: it seems to serve at once"
        return _finding("import", FindingOutcome.UNAVAILABLE, message, done)
    message = f"import of {where} ended the interpreter (status {done.exit_code or done.signal})"
    return _finding("import", FindingOutcome.FAIL, message, done)


def _parses(view: WorkspaceView, process: Process, path: str) -> Finding:
    answer, done = _ask(view, _PARSE, path, ".", process.package)
    if answer.get("error") is not None:
        message = f"{path}: {answer['error']}: {answer.get('message')}"
        return _finding("start_file", FindingOutcome.FAIL, message, done)
    if not answer:
        message = f"{path} could not be looked at: the interpreter gave no answer"
        return _finding("start_file", FindingOutcome.UNAVAILABLE, message, done)
    message = f"{path} parses, and what it imports is there"
    return _finding("start_file", FindingOutcome.PASS, message, done)


def _ask(
    view: WorkspaceView, program: str, subject: str, cwd: str, package: str
) -> tuple[dict[str, object], Completed]:
    """Run one of our programs on the app's interpreter; its answer is empty when it gave none."""
    box = Outbox(view)
    done = view.run(
        ("python", "-c", program, subject, box.path("answer.json")),
        cwd=cwd,
        package=package,
        env=_READS_ONLY,
        timeout=_SECONDS,
        name=f"load {subject}",
    )
    try:
        parsed = json.loads(box.read("answer.json", _ANSWER_BYTES) or b"{}")
    except (ValueError, RecursionError):
        parsed = {}
    return (parsed if isinstance(parsed, dict) else {}), done


def _finding(probe: str, outcome: FindingOutcome, message: str, done: Completed) -> Finding:
    fix = None
    if outcome is FindingOutcome.FAIL:
        fix = Remediation(effort="medium", text=f"Make it load: {message}"[:500])
    return seen(
        f"build.{probe}",
        outcome,
        message,
        remediation=fix,
        exit_code=done.exit_code,
        seconds=round(done.seconds, 3),
    )

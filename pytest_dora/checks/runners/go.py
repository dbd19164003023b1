"""``go test`` with its JSON stream and a cover profile."""

from __future__ import annotations

import json
import re
from functools import partial

from pytest_dora.checks.coverage import parse_go_profile
from pytest_dora.checks.runners.base import (
    Bench,
    Counts,
    Instrumented,
    Tally,
    read_coverage,
    read_report,
)
from pytest_dora.checks.tree import join, read_text

_MODULE = re.compile(r"^module\s+(\S{1,500})", re.MULTILINE)
_NOT_BUILT = re.compile(r"^FAIL\s+(\S{1,500}) \[(?:build|setup) failed\]", re.MULTILINE)
_COMPILER = re.compile(r"^(?:vet: )?(\S{1,300}\.go:\d+(?::\d+)?: .*)$", re.MULTILINE)
_SHOWN = 20_000
_TO_FILE = f'f=$1; shift; "$@" >"$f"; rc=$?; head -c {_SHOWN} "$f"; exit $rc'
_MAX_EVENTS = 2_000_000


def go(bench: Bench) -> Instrumented:
    """``go test -json``; every package of the module counts for coverage, also untested ones."""
    words = list(bench.suite.argv)
    flags = ["-json"]
    if bench.coverage:
        flags += ["-coverpkg=./...", f"-coverprofile={bench.box.path('cover.out')}"]
    if words[:2] == ["go", "test"]:
        own = [word for word in words[2:] if not word.startswith(("-cover", "-json", "-v"))]
        words = ["go", "test", *flags, *own]
    found = _MODULE.search(read_text(bench.root, join(bench.suite.cwd, "go.mod")))
    module = found[1] if found else ""
    return Instrumented(
        argv=("sh", "-c", _TO_FILE, "sh", bench.box.path("events.jsonl"), *words),
        counts=lambda _: read_report(bench, "events.jsonl", parse_go_events),
        covered=lambda: read_coverage(bench, "cover.out", partial(parse_go_profile, module=module)),
    )


def parse_go_events(data: bytes) -> Counts | None:
    """The event stream of ``go test -json``; None when it holds no event.

    A test with subtests is no test of its own; a package that fails without any failing test
    could not be built or ended early.
    """
    tally = Tally()
    results: dict[tuple[str, str], str] = {}
    output: dict[tuple[str, str], list[str]] = {}
    events = 0
    for line in data.splitlines():
        event = _event(line)
        if event is None:
            continue
        events += 1
        if events > _MAX_EVENTS:
            return None
        action, package, test = (str(event.get(key) or "") for key in ("Action", "Package", "Test"))
        key = (package or str(event.get("ImportPath") or ""), test)
        if action in ("output", "build-output"):
            kept = output.setdefault(key, [])
            if len(kept) < 50:
                kept.append(str(event.get("Output") or "")[:500])
        elif action in ("pass", "fail", "skip"):
            results[key] = action
    _judge(tally, results, output)
    _not_built(tally, data)
    return tally.counts() if events or tally.broken else None


def _not_built(tally: Tally, data: bytes) -> None:
    """Packages that do not compile: before Go 1.24 they are told of in plain lines."""
    plain = b"\n".join(line for line in data.splitlines() if not line.startswith(b"{"))
    text = plain.decode("utf-8", "replace")
    said = _COMPILER.search(text)
    for package in dict.fromkeys(_NOT_BUILT.findall(text)):
        tally.break_(package, said[1] if said else "")


def _judge(
    tally: Tally, results: dict[tuple[str, str], str], output: dict[tuple[str, str], list[str]]
) -> None:
    parents = {
        (package, test.rsplit("/", depth)[0])
        for package, test in results
        for depth in range(1, test.count("/") + 1)
    }
    failing = {package for (package, test), action in results.items() if test and action == "fail"}
    for (package, test), action in sorted(results.items()):
        if not test:
            if action == "fail" and package not in failing:
                tally.break_(package, _said(output, package, ""))
        elif (package, test) in parents:
            continue
        elif action == "pass":
            tally.passed += 1
        elif action == "skip":
            tally.skipped += 1
        else:
            tally.fail(f"{package} {test}".strip(), _said(output, package, test))


def _said(output: dict[tuple[str, str], list[str]], package: str, test: str) -> str:
    """What a test printed, without the frame that go puts around it."""
    lines = output.get((package, test), [])
    if not test:
        built = [key for key in output if not key[1] and key[0].startswith(package)]
        lines = [line for key in built for line in output[key]]
    frame = ("=== ", "--- ", "FAIL", "PASS", "ok ", "exit status", "# ", "coverage:")
    return next(
        (line.strip() for line in lines if not line.strip().startswith(frame) and line.strip()), ""
    )


def _event(line: bytes) -> dict[str, object] | None:
    if not line.startswith(b"{") or len(line) > 100_000:
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "Action" in event else None

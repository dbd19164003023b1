"""``python -m tests.benchmarks [NAME …] [--runs N]``: measure what the design promises of speed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import (
    app_ratio,
    collection,
    delivery_store,
    fleet_ratio,
    import_cost,
    overhead_per_check,
)
from tests.benchmarks.harness import (
    EXAMPLES,
    Neighbours,
    Options,
    ProgramFailed,
    Result,
    cores,
    machine,
    table,
)

_MODULES = (import_cost, collection, overhead_per_check, app_ratio, fleet_ratio, delivery_store)
BENCHMARKS: dict[str, Callable[[Options], Result]] = {
    module.NAME: module.measure for module in _MODULES
}


def main() -> int:
    """The exit status is 2 when something could not be measured; a claim that is not met is a
    finding, and no failure: it may be the machine's."""
    typed = _arguments()
    facts = machine()
    _say("  ".join(f"{name} {value}" for name, value in facts.items()))
    if facts["load_average"] > cores() / 2:
        _say("WARNING: other programs keep this machine busy; what is not met may be their doing")
    results: list[Result] = []
    broken: list[str] = []
    for name in typed.names or BENCHMARKS:
        try:
            with Neighbours() as neighbours:
                results.append(BENCHMARKS[name](Options(runs=typed.runs, apps=typed.apps)))
            results[-1].notes += neighbours.note()
        except ProgramFailed as failure:
            broken.append(f"{name} could not be measured: {failure}")
            _say(broken[-1])
        else:
            _say(table(results[-1:]))
    content = {"machine": facts, "results": [one.as_json() for one in results], "broken": broken}
    if typed.json is None:
        _say("\n" + json.dumps(content, indent=1))
    else:
        typed.json.write_text(json.dumps(content, indent=1) + "\n")
    claims = [claim for result in results for claim in result.claims]
    missed = [claim for claim in claims if not claim.met]
    _say(f"\n{len(claims) - len(missed)} of {len(claims)} claims met")
    for claim in missed:
        _say(f"NOT MET: {claim.text}: {claim.measured:.3g} {claim.unit}, limit {claim.limit:g}")
    return 2 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--runs", type=int, metavar="N", help="repetitions, of which the median")
    parser.add_argument("--apps", type=Path, default=EXAMPLES, help="the fleet of fleet_ratio")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write JSON here, not to stdout")
    typed = parser.parse_args()
    unknown = [name for name in typed.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    if typed.runs is not None and typed.runs < 1:
        parser.error("--runs needs at least 1")
    return typed


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

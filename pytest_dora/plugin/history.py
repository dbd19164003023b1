"""How long the checks of each app took last time, so that the longest apps begin first."""

from __future__ import annotations

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_dora.model.result import CheckResult, Outcome

_JUDGED = frozenset({Outcome.PASSED, Outcome.FAILED})


def read_history(path: Path) -> dict[str, dict[str, float]]:
    """Seconds by app and check; empty when there is no history or it cannot be read."""
    try:
        content = json.loads(path.read_bytes())["seconds"]
        return {
            str(app): {str(check): float(seconds) for check, seconds in checks.items()}
            for app, checks in content.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_history(path: Path, results: Iterable[CheckResult]) -> None:
    """Add what was measured now to what was known. Raises OSError."""
    seconds = defaultdict(dict, read_history(path))
    for result in results:
        if result.outcome in _JUDGED:
            seconds[result.app_id][result.check_id] = round(result.seconds, 3)
    content = json.dumps({"version": 1, "seconds": seconds}, indent=0, sort_keys=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".history.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def expected_seconds(
    history: Mapping[str, Mapping[str, float]], app_id: str, checks: Iterable[str]
) -> float | None:
    """What an app's checks took when they were last made; None when none of them was."""
    known = history.get(app_id, {})
    measured = [known[check] for check in checks if check in known]
    return sum(measured) if measured else None

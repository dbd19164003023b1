"""The one door to scipy, which comes with the extra ``stats`` and is imported late."""

from __future__ import annotations

from typing import Any

WAY_OUT = "pip install 'pytest-dora[stats]'"
NEEDS_SCIPY = "needs_scipy"
"""The reason beside a result that is missing because scipy is."""
INSUFFICIENT_DATA = "insufficient_data"
"""The reason beside a result for which there are too few samples."""


class StatsUnavailable(Exception):
    """scipy cannot be imported; ``way_out`` is the one line that installs it."""

    def __init__(self, purpose: str) -> None:
        super().__init__(f"{purpose} needs scipy, which cannot be imported (way out: {WAY_OUT})")
        self.purpose = purpose
        self.way_out = WAY_OUT


def scipy_stats(purpose: str) -> Any:
    """The module ``scipy.stats``. Raises StatsUnavailable, naming the purpose."""
    try:
        from scipy import stats
    except ImportError as missing:
        raise StatsUnavailable(purpose) from missing
    return stats

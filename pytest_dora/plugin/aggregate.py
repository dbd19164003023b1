"""One result per expected check, from reports, spools and the deaths of workers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pytest_dora.model.fleet import AppFacts
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.plugin.state import Pair


class Answers:
    """What reports told the controller so far."""

    def __init__(self) -> None:
        self.results: dict[Pair, CheckResult] = {}
        self.facts: dict[str, AppFacts] = {}
        self.crashed: dict[Pair, str] = {}
        self._attempts: Counter[Pair] = Counter()

    def add(self, result: CheckResult, *, again: bool) -> CheckResult:
        """Take a result in; ``again``: it was reported as to be rerun. The result that counts."""
        pair = (result.app_id, result.check_id)
        self._attempts[pair] += result.attempts
        if again:
            return result
        result = result.model_copy(update={"attempts": self._attempts[pair]})
        self.results[pair] = result
        return result

    def add_crash(self, pair: Pair, message: str, *, again: bool) -> None:
        """A worker died while it ran this check."""
        self._attempts[pair] += 1
        if not again:
            self.crashed[pair] = message

    def complete(
        self,
        expected: Sequence[Pair],
        spooled: Iterable[CheckResult],
        *,
        interrupted: bool,
    ) -> tuple[CheckResult, ...]:
        """The results in the order of ``expected``, and those that nobody expected at the end.

        A report that arrived counts most, then what the dead worker had written down. When the
        run was interrupted, a check that began and did not end was cut off by that.
        """
        written = {(result.app_id, result.check_id): result for result in spooled}
        order = dict.fromkeys((*expected, *self.results, *self.crashed, *written))
        return tuple(self._one(pair, written, interrupted=interrupted) for pair in order)

    def _one(
        self, pair: Pair, written: Mapping[Pair, CheckResult], *, interrupted: bool
    ) -> CheckResult:
        if pair in self.results:
            return self.results[pair]
        result = written.get(pair)
        cut = result is None or result.outcome is Outcome.CRASHED
        if result is not None and not cut:
            return result
        if pair in self.crashed or (result is not None and not interrupted):
            return CheckResult(
                app_id=pair[0],
                check_id=pair[1],
                outcome=Outcome.CRASHED,
                reason="worker_died",
                message=self.crashed.get(pair, "the worker ended during this check"),
                attempts=max(1, self._attempts[pair]),
            )
        return CheckResult(
            app_id=pair[0],
            check_id=pair[1],
            outcome=Outcome.NOT_RUN,
            reason="interrupted" if interrupted else "no_result",
            message="the run ended before this check had an answer",
            attempts=0,
        )

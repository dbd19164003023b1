"""Asking a Prometheus server: expressions made for one app, and answers as plain numbers.

Times are milliseconds since 1970, as Prometheus stores them. Every span is half open: a sample at
its start counts, one at its end belongs to the next span.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_dora.delivery.collectors.base import CollectError
from pytest_dora.delivery.http import Api
from pytest_dora.model.base import Model

MOST_POINTS = 10_000
"""Of one series in one answer; Prometheus refuses more than 11,000."""

_NAME = re.compile(r"\$(app|step)\b")
_PLAIN = re.compile(r"[\w ./:@+-]", re.ASCII)
_GO_DURATION = re.compile(r"([0-9]+)(ms|s|m|h|d|w|y)")
_GO_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
             "y": 31_536_000_000}  # fmt: skip


def quoted(value: str) -> str:
    """A value as it may stand between any quotes of PromQL: what could end them is escaped."""
    return "".join(
        one if _PLAIN.match(one) or ord(one) > 0x7F else f"\\x{ord(one):02x}" for one in value
    )


def filled(expression: str, app: str, step: int) -> str:
    """An expression with ``$app`` and ``$step`` (seconds) replaced; any other ``$`` stays."""
    values = {"app": quoted(app), "step": f"{step}s"}
    return _NAME.sub(lambda found: values[found[1]], expression)


def selecting(name: str, matchers: str) -> str:
    """A selector; matchers may be empty."""
    return f"{name}{{{matchers}}}"


def exactly(name: str, labels: Mapping[str, str]) -> str:
    """A selector of the series with these labels."""
    return selecting(name, ",".join(f'{key}="{quoted(labels[key])}"' for key in sorted(labels)))


@dataclass(frozen=True)
class Series:
    labels: Mapping[str, str]
    samples: tuple[tuple[int, float], ...]
    """Milliseconds and value, in the order of time."""


class Alerting(Model):
    """How a server evaluates its rules and names its alerts."""

    external_labels: Mapping[str, str]
    """Added to the labels of every alert that it sends."""
    evaluation_ms: int
    """Between two evaluations, where no group says otherwise."""
    intervals_ms: Mapping[str, int] = {}
    """The same, by the name of the alert."""


class PrometheusApi:
    """The queries of the HTTP API that a collection needs. Raises CollectError from each."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def over_periods(self, what: str, expression: str, ends: range, step: int) -> dict[int, float]:
        """Value by the end of its period (seconds), where there is one that is a finite number.

        Evaluated a millisecond before each end, so that neighbouring periods share no sample.
        """
        times = {"start": _seconds(ends[0] * 1000 - 1), "end": _seconds(ends[-1] * 1000 - 1)}
        found = self._ask("query_range", expression, what, {**times, "step": str(step)})
        if len(found) > 1:
            raise CollectError(
                f"prometheus: the expression of {what!r} gives {len(found)} series, and one is "
                f"needed (sum or avg them): {expression}"
            )
        samples = found[0].samples if found else ()
        return {(at + 1) // 1000: value for at, value in samples if math.isfinite(value)}

    def raw(self, selector: str, start: int, end: int) -> list[Series]:
        """The samples as they were stored, in a span."""
        found = self._ask(
            "query", f"{selector}[{end - start}ms]", "alerts", {"time": _seconds(end - 1)}
        )
        kept = (
            Series(one.labels, tuple(sample for sample in one.samples if sample[0] >= start))
            for one in found
        )
        return [one for one in kept if one.samples]

    def at(self, selector: str, moment: int) -> list[Series]:
        """What the server itself shows at a moment: not what it has marked as ended by then."""
        return self._ask("query", selector, "alerts", {"time": _seconds(moment)})

    def alerting(self) -> Alerting:
        """Read from the server's configuration and rules."""
        try:
            said = yaml.safe_load(self._get("api/v1/status/config")["yaml"])["global"]
            groups = self._get("api/v1/rules", {"type": "alert"})["groups"]
            labels = said.get("external_labels") or {}
            return Alerting(
                external_labels={str(name): str(value) for name, value in labels.items()},
                evaluation_ms=go_milliseconds(said["evaluation_interval"]),
                intervals_ms={
                    rule["name"]: int(float(group["interval"]) * 1000)
                    for group in groups
                    for rule in group["rules"]
                },
            )
        except (
            CollectError,
            yaml.YAMLError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:
            raise CollectError(
                f"prometheus: its configuration cannot be read ({error}); say what it is by the "
                "options external_labels and evaluation_interval"
            ) from error

    def _ask(self, path: str, expression: str, what: str, times: Mapping[str, str]) -> list[Series]:
        try:
            answer = self._api.post(f"api/v1/{path}", form={"query": expression, **times})
        except CollectError as error:
            raise CollectError(f"{error} (asked for {what!r}: {expression})") from error
        data = _data(answer.body, what)
        try:
            return list(_series(data))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CollectError(f"prometheus: no answer to a query of {what!r}: {error}") from error

    def _get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        return _data(self._api.get(path, params).body, path)


def go_milliseconds(text: str) -> int:
    """A duration as Prometheus writes it: ``1m30s``. Raises ValueError."""
    parts = _GO_DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration")
    return sum(int(number) * _GO_UNITS[unit] for number, unit in parts)


def _data(body: Any, what: str) -> Any:
    if not isinstance(body, dict) or body.get("status") != "success":
        raise CollectError(f"prometheus: answered nothing of its API to {what!r}")
    if body.get("warnings"):
        # partial data, a doubtful expression: what follows from it would be no measurement
        said = "; ".join(map(str, body["warnings"]))[:300]
        raise CollectError(f"prometheus: warns about {what!r}, so its answer is not used: {said}")
    return body.get("data")


def _series(data: Any) -> Iterable[Series]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        yield Series({}, (_sample(result),))
        return
    if kind not in ("matrix", "vector"):
        raise ValueError(f"the result is a {kind}")
    for one in result:
        samples = one["values"] if kind == "matrix" else [one["value"]]
        yield Series(one["metric"], tuple(_sample(sample) for sample in samples))


def _sample(pair: Any) -> tuple[int, float]:
    moment, value = pair
    return round(float(moment) * 1000), float(value)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"

"""Expressions as they are filled in, and what a server may answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.delivery.collectors.base import CollectError
from pytest_dora.delivery.collectors.prometheus_api import (
    PrometheusApi,
    exactly,
    filled,
    go_milliseconds,
    quoted,
)
from pytest_dora.delivery.http import Api
from tests.unit.delivery.collectors.monitors import Quiet, Server


def test_only_the_two_names_are_replaced() -> None:
    asked = filled('a{b="$app",c=~"5..$"}[$step] $application ${app}', "shop", 300)
    assert asked == 'a{b="shop",c=~"5..$"}[300s] $application ${app}'


def test_a_name_that_looks_like_a_variable_is_not_replaced_again() -> None:
    assert filled("'$app'", "$step", 60) == "'\\x24step'"


@given(st.text())
def test_nothing_in_a_value_ends_its_quotes(value: str) -> None:
    written = quoted(value)
    assert not set(written) & set("\"'`\n$")
    # read back as PromQL reads strings: only \xNN escapes, of ASCII
    parts = written.split("\\")
    assert all(part[0] == "x" and int(part[1:3], 16) < 0x80 for part in parts[1:])
    read = parts[0] + "".join(chr(int(part[1:3], 16)) + part[3:] for part in parts[1:])
    assert read == value


def test_a_selector_names_every_label() -> None:
    assert exactly("ALERTS", {"b": 'x"', "a": "y"}) == 'ALERTS{a="y",b="x\\x22"}'


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("15s", 15_000), ("1m30s", 90_000), ("100ms", 100), ("1h", 3_600_000)],
)
def test_durations_of_a_configuration_are_read(text: str, milliseconds: int) -> None:
    assert go_milliseconds(text) == milliseconds


@pytest.mark.parametrize("text", ["", "1", "m", "1m x", "-1m"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        go_milliseconds(text)


class Says(Quiet):
    said: object

    def do_POST(self) -> None:  # noqa: N802 - as the library calls it
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps(Says.said).encode(), "application/json")

    def do_GET(self) -> None:  # noqa: N802 - as the library calls it
        self.answer(json.dumps(Says.said).encode(), "application/json")


@pytest.fixture
def api() -> Iterator[PrometheusApi]:
    server = Server(0, Says)
    with Api(server.url, name="prometheus") as service:
        yield PrometheusApi(service)
    server.close()


def success(data: object) -> object:
    return {"status": "success", "data": data}


@pytest.mark.parametrize(
    "said",
    [
        None, [], {}, {"status": "error"}, success(None), success({"resultType": "string"}),
        success({"resultType": "matrix", "result": [{}]}),
        success({"resultType": "matrix", "result": [{"metric": {}, "values": [[1]]}]}),
        success({"resultType": "string", "result": [1, "a"]}),
        success({"resultType": "vector", "result": [{"metric": {}, "value": [1, "much"]}]}),
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_refused(api: PrometheusApi, said: object) -> None:
    Says.said = said
    with pytest.raises(CollectError, match="prometheus: "):
        api.at("up", 1000)


@pytest.mark.parametrize("said", [None, {"yaml": "a: ["}, {"yaml": "global: 5"}, {"yaml": "[]"},
                                  {"yaml": "global: {evaluation_interval: often}"}])  # fmt: skip
def test_a_configuration_that_cannot_be_read_is_named(api: PrometheusApi, said: object) -> None:
    Says.said = success(said)
    with pytest.raises(CollectError, match="prometheus: its configuration cannot be read"):
        api.alerting()


def test_a_scalar_is_a_series_without_labels(api: PrometheusApi) -> None:
    Says.said = success({"resultType": "scalar", "result": [1.5, "2"]})
    (series,) = api.at("2", 1500)
    assert (series.labels, series.samples) == ({}, ((1500, 2.0),))

"""Addresses, durations and options as evaluators write them."""

from __future__ import annotations

import pytest

from pytest_dora.delivery.collectors.base import CollectError, Scope
from pytest_dora.delivery.collectors.servers import Duration, bearer, options_of, server_of
from pytest_dora.model.base import Model


class Spans(Model):
    span: Duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("5m", 300), ("1h", 3600), ("7d", 604_800), ("2w", 1_209_600), (90, 90)],
)
def test_durations_are_seconds(written: object, seconds: int) -> None:
    assert options_of(Spans, Scope("x", options={"span": written})).span == seconds  # type: ignore[dict-item]


@pytest.mark.parametrize("written", ["", "1", "1.5h", "0s", "1h30m", "-1h", 1.5, None, [1]])
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(CollectError, match="x: wrong options: span: "):
        options_of(Spans, Scope("x", options={"span": written}))  # type: ignore[dict-item]


def test_an_address_keeps_its_path_and_loses_its_last_slash() -> None:
    assert server_of(Scope("https://metrics.example/prometheus/")) == (
        "https://metrics.example/prometheus"
    )


@pytest.mark.parametrize("address", ["", "metrics.example:9090", "ftp://a", "http://", "http://["])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(CollectError):
        server_of(Scope(address))


def test_secrets_in_an_address_are_refused_and_not_repeated() -> None:
    for address in ("https://me:secret@a", "https://secret@a", "https://a?token=secret"):
        with pytest.raises(CollectError, match=r"^a: .* environment") as error:
            server_of(Scope(address))
        assert "secret" not in str(error.value)


def test_an_empty_token_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", " ")
    assert bearer("SOME_TOKEN") == {}
    monkeypatch.setenv("SOME_TOKEN", "t0ken\n")
    assert bearer("SOME_TOKEN") == {"Authorization": "Bearer t0ken"}

from __future__ import annotations

import pytest

from pytest_dora.delivery.collecting import BUILTIN, label, load, names, scopes
from pytest_dora.delivery.collectors import CollectError
from pytest_dora.delivery.production import Owners
from pytest_dora.model.app import App, ServiceNames
from pytest_dora.model.fleet import Collected, Fleet


def app(name: str, **services: str) -> App:
    return App(app_id=name, path=None, services=ServiceNames.model_validate(services))


def fleet(*apps: App, collect: tuple[Collected, ...] = ()) -> Fleet:
    return Fleet(apps=apps, collect=collect)


def test_every_collector_of_ours_can_be_loaded_and_has_its_name() -> None:
    assert set(BUILTIN) <= set(names())
    assert {name: load(name).name for name in BUILTIN} == {name: name for name in BUILTIN}


def test_an_unknown_collector_is_told_with_those_that_exist() -> None:
    with pytest.raises(CollectError, match="lighthouse: no such collector; there are alertmanager"):
        load("lighthouse")


def test_what_there_is_to_read_are_the_services_of_apps_and_what_is_listed() -> None:
    entry = Collected(collector="prometheus", scope="http://m:9090", app="shop")
    found = list(
        scopes(
            fleet(app("shop", github="o/shop", fly="shop"), app("blog", github="o/shop"),
                  collect=(entry,))
        )
    )  # fmt: skip
    assert [(name, label(scope)) for name, scope in found] == [
        ("prometheus", "http://m:9090 (shop)"),
        ("github", "o/shop"),
        ("fly", "shop"),
    ]


def test_only_the_collectors_that_were_named_read() -> None:
    both = fleet(app("shop", github="o/shop", fly="shop"))
    assert [name for name, _ in scopes(both, ["fly"])] == ["fly"]


def test_one_server_is_read_for_each_app_from_a_place_of_its_own() -> None:
    entries = tuple(
        Collected(collector="prometheus", scope="http://m:9090", app=name) for name in ("a", "b")
    )
    found = [label(scope) for _, scope in scopes(fleet(app("a"), app("b"), collect=entries))]
    assert found == ["http://m:9090 (a)", "http://m:9090 (b)"]
    with pytest.raises(CollectError, match="twice"):
        list(scopes(fleet(app("a"), collect=(entries[0], entries[0]))))


def test_what_is_listed_with_options_is_not_read_once_more_as_a_service() -> None:
    entry = Collected(collector="github", scope="o/shop", options={"deploy_jobs": ["deploy"]})
    found = list(scopes(fleet(app("shop", github="o/shop"), collect=(entry,))))
    assert [dict(scope.options) for _, scope in found] == [{"deploy_jobs": ["deploy"]}]


def test_a_service_of_one_app_is_that_apps_and_of_two_is_nobodys() -> None:
    owners = Owners.of(fleet(app("shop", github="O/Shop"), app("a", fly="x"), app("b", fly="x")))
    assert owners(None, "github:o/shop") == "shop"
    assert owners(None, "fly:x") is None
    assert owners("told", "fly:x") == "told"
    assert owners(None, None) is None

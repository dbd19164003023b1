"""The module that every pytest run imports: options, hooks, and the way to the rest.

Imports nothing but pytest and the standard library, so that a run without ``--dora`` does not
pay for us. Everything else of the project is imported once ``--dora`` is seen.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_dora.plugin.options import add_options, is_active


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_dora.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Keep the conftest.py files of generated apps out of this process."""
    if is_active(early_config.known_args_namespace):
        from pytest_dora.plugin.arguments import confine_configuration

        confine_configuration(early_config)
    yield


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """How many apps ``-n auto`` evaluates at a time; most of that time is waiting."""
    if not is_active(config.option):
        return None
    from pytest_dora.plugin.scheduler import auto_workers

    return auto_workers(config)


# trylast: what orders the items must be registered after the plugins that shuffle them
@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    from pytest_dora.plugin import fixtures

    config.addinivalue_line("markers", "dora: every item that evaluates an app")
    config.addinivalue_line("markers", "dora_app(id): the app that an item evaluates")
    config.addinivalue_line("markers", "dora_check(id): the check that an item makes")
    config.pluginmanager.register(fixtures, "dora-fixtures")
    if is_active(config.option) and not config.option.help:
        from pytest_dora.plugin.startup import start

        start(config)

"""One module per family of test runners; ``INSTRUMENT`` says which serves which."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_dora.checks.runners import command, go, javascript, node, php, python
from pytest_dora.checks.runners.base import Bench, Instrument, Instrumented
from pytest_dora.model.plan import TestRunner

INSTRUMENT: Mapping[TestRunner, Instrument] = {
    TestRunner.BUN: javascript.bun,
    TestRunner.VITEST: javascript.vitest,
    TestRunner.JEST: javascript.jest,
    TestRunner.MOCHA: javascript.mocha,
    TestRunner.NODE: node.node,
    TestRunner.PYTEST: python.pytest,
    TestRunner.UNITTEST: python.unittest,
    TestRunner.DJANGO: python.unittest,
    TestRunner.GO: go.go,
    TestRunner.PHPUNIT: php.phpunit,
    TestRunner.COMMAND: command.command,
}


def instrument(bench: Bench) -> Instrumented:
    """The suite's command with machine-readable reports. Changes nothing of the app."""
    return INSTRUMENT[bench.suite.runner](bench)

"""PHPUnit, Pest and ``artisan test`` with a JUnit log."""

from __future__ import annotations

from pytest_dora.checks.runners.base import Bench, Instrumented, extend, read_report
from pytest_dora.checks.runners.junit import parse_junit


def phpunit(bench: Bench) -> Instrumented:
    """The suite's own command with ``--log-junit``.

    PHP measures coverage only with an extension that is no part of it.
    """
    return Instrumented(
        argv=extend(bench.suite.argv, f"--log-junit={bench.box.path('junit.xml')}"),
        counts=lambda _: read_report(bench, "junit.xml", parse_junit),
        coverage_missing="PHP has no coverage driver here",
    )

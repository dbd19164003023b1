"""Deployments, workflow runs, pull requests and commits of a repository on GitHub.

``facts`` turns GitHub's payloads into events and is pure; ``client`` makes the requests;
``deployments`` and ``runs`` read what is new since a ``state``; ``changes`` finds what each
deployment brought; ``collector`` puts them together.
"""

from pytest_dora.delivery.collectors.github.collector import GitHub, Options

__all__ = ["GitHub", "Options"]

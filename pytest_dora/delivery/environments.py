"""Which tier an environment is, whatever its source calls it. What is unclear stays unknown."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_dora.model.events import EnvironmentTier

__all__ = ["EnvironmentTier", "tier_of"]


_WORDS = (
    (EnvironmentTier.STAGING, re.compile(r"stag(e|ing)?|pre-?prod(uction)?|uat|acceptance")),
    (EnvironmentTier.TESTING, re.compile(r"test(ing)?|qa|ci|e2e|integration")),
    (EnvironmentTier.DEVELOPMENT, re.compile(r"dev(el(opment)?)?|local|preview|sandbox|review")),
    (EnvironmentTier.PRODUCTION, re.compile(r"prod(uction)?|live|prd")),
)
_SEPARATORS = re.compile(r"[^a-z0-9]+")


def tier_of(name: str | None, named: Mapping[str, str] | None = None) -> EnvironmentTier:
    """The tier of an environment. ``named`` is the evaluator's own list and wins.

    A name counts when one of its words is known (``shop-prod``, ``Production (eu)``); a name with
    words of two tiers (``prod-test``) is the lower one, so that no test counts as production.
    """
    if name is None:
        return EnvironmentTier.UNKNOWN
    if named is not None and name in named:
        return EnvironmentTier(named[name])
    plain = name.strip().lower()
    words = [word for word in _SEPARATORS.split(plain) if word]
    for tier, pattern in _WORDS:
        if pattern.fullmatch(plain) or any(pattern.fullmatch(word) for word in words):
            return tier
    return EnvironmentTier.UNKNOWN

from __future__ import annotations

import pytest

from pytest_dora.delivery.environments import EnvironmentTier, tier_of


@pytest.mark.parametrize(
    ("name", "tier"),
    [
        ("production", "production"),
        ("Production (eu-west)", "production"),
        ("shop-prod", "production"),
        ("LIVE", "production"),
        ("staging", "staging"),
        ("pre-production", "staging"),
        ("prod-test", "testing"),
        ("qa", "testing"),
        ("preview/pr-12", "development"),
        ("github-pages", "unknown"),
        ("product", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_tier_of_a_name(name: str | None, tier: str) -> None:
    assert tier_of(name) is EnvironmentTier(tier)


def test_the_evaluators_list_wins() -> None:
    assert tier_of("qa", {"qa": "production"}) is EnvironmentTier.PRODUCTION

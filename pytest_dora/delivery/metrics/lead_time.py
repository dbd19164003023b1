"""Lead time: from the prompt to production, and from the commit to production."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from pytest_dora.delivery.lead_times import PARTS, PromptLeadTime, PullRequestTimes
from pytest_dora.delivery.metrics import bands, numbers
from pytest_dora.delivery.metrics.weeks import by_week, complete_weeks, weekly_trend
from pytest_dora.delivery.observe import Observation
from pytest_dora.delivery.policy import Policy, Window
from pytest_dora.model import dora
from pytest_dora.stats import basic


def lead_time_for_changes(
    observed: Sequence[Observation], window: Window, policy: Policy
) -> dora.LeadTimeForChanges:
    """The median from prompt to production is the metric; the one from commits stands beside it.

    The parts are means, for only means add up: ``sum(breakdown) == mean_seconds``.
    """
    prompts = [found for one in observed for found in one.prompt_lead_times]
    changes = [found for one in observed for found in one.change_lead_times]
    seconds = [one.seconds for one in prompts]
    commits = [one.seconds for one in changes]
    by_deployment: dict[str, list[float]] = defaultdict(list)
    for one in changes:
        by_deployment[one.deployment].append(one.seconds)
    kinds = frozenset(kind for one in observed for kind in one.kinds)
    told = {"generation", "deployment"} <= kinds
    no_commits = numbers.NO_SAMPLES if "change" in kinds else numbers.NOT_OBSERVED
    weeks = complete_weeks(
        window.clipped(min((one.window.start for one in observed), default=None))
    )
    weekly = by_week(prompts, lambda one: one.deployment.finished_at, weeks)
    return dora.LeadTimeForChanges(
        basis="observed" if seconds else None,
        reason=None if seconds else numbers.NO_SAMPLES if told else numbers.NOT_OBSERVED,
        samples=len(seconds),
        ci95=basic.median_ci95(seconds),
        window=dora.Window(start=window.start, end=window.end),
        aggregation="app" if len(observed) == 1 else "pooled",
        median_of_apps=numbers.middle(
            _medians(observed), "seconds", None if told else numbers.NOT_OBSERVED
        ),
        band=bands.band(
            bands.LEAD_TIME, basic.median(seconds), policy.benchmark, basic.median_ci95(seconds)
        ),
        median_seconds=basic.median(seconds),
        breakdown=_breakdown(prompts),
        definition="prompt_to_production" if seconds else None,
        mean_seconds=basic.mean(seconds),
        p90_seconds=basic.quantile(seconds, 0.9),
        change_lead_time=numbers.middle(commits, "seconds", no_commits),
        change_lead_time_p90=numbers.at_share(commits, 0.9, "seconds", no_commits),
        change_lead_time_per_deployment=numbers.middle(
            [middle for found in by_deployment.values() if (middle := basic.median(found)) is not None],
            "seconds",
            no_commits,
        ),
        coding=_part(observed, lambda one: one.coding, no_commits),
        review=_part(observed, lambda one: one.review, no_commits),
        merge_to_deploy=_part(observed, lambda one: one.deploy, no_commits),
        first_deployment_commits=sum(one.first_deployment for one in changes),
        trend_detail=weekly_trend(
            [basic.median([one.seconds for one in week]) for week in weekly], "smaller"
        ),
    )  # fmt: skip


def _part(
    observed: Sequence[Observation],
    read: Callable[[PullRequestTimes], float | None],
    reason: str,
) -> dora.Number:
    """Of the pull requests that were deployed and whose moments are known and in order."""
    found = [read(request) for one in observed for request in one.pull_requests]
    return numbers.middle([value for value in found if value is not None], "seconds", reason)


def _medians(observed: Sequence[Observation]) -> list[float]:
    medians = (basic.median([it.seconds for it in one.prompt_lead_times]) for one in observed)
    return [found for found in medians if found is not None]


def _breakdown(prompts: Sequence[PromptLeadTime]) -> dora.Breakdown:
    if not prompts:
        return dora.Breakdown()
    means = {part: basic.mean([one.parts[part] for one in prompts]) for part in PARTS}
    return dora.Breakdown(**means, unattributed=basic.mean([one.unattributed for one in prompts]))

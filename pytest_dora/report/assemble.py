"""Expected checks × results × facts: one report that loses no app and no check."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from pytest_dora.model.app import App, Generation
from pytest_dora.model.base import utc_now
from pytest_dora.model.fleet import AppFacts, Fleet
from pytest_dora.model.report import (
    AppReport,
    CheckSummary,
    CheckTotals,
    Durations,
    FleetCost,
    Report,
    RunInfo,
    RunStatus,
)
from pytest_dora.model.result import CheckResult, Outcome
from pytest_dora.model.settings import Level, Settings
from pytest_dora.report import levels, scores
from pytest_dora.report.consistency import consistency
from pytest_dora.report.dora import dora_metrics
from pytest_dora.report.gate import evaluate_gate
from pytest_dora.report.lead_time import cost, lead_time
from pytest_dora.report.names import file_name
from pytest_dora.report.text import masked_settings
from pytest_dora.stats import basic as stats

Pair = tuple[str, str]
_MESSAGE = 300
"""Characters of a message in the summary; the app's own file has all of it."""
_PROBES = 12
_PROMPT = 1000


def assemble(
    fleet: Fleet,
    expected: Sequence[Pair],
    results: Sequence[CheckResult],
    facts: Sequence[AppFacts],
    run: RunInfo,
    settings: Settings,
    *,
    status: RunStatus = RunStatus.FINISHED,
) -> Report:
    """The report of a run, its gate included.

    ``fleet`` is the whole fleet, also where a part was selected; ``expected`` are the
    ``(app_id, check_id)`` that were asked. An expected check without a result is ``not_run``;
    of several results for one check the last counts; what nobody expected is reported as well.
    """
    answers = complete(expected, results)
    known = frozenset(run.checks_known) or frozenset(check for _, check in answers)
    told = {one.app_id: one for one in facts}
    apps = {app.app_id: app for app in fleet.apps}
    notes = [*run.notes, *fleet.notes]
    for app_id in sorted({app_id for app_id, _ in answers} - apps.keys()):
        apps[app_id] = App(app_id=app_id, path=None)
        notes.append(f"{app_id}: has results, but is no app of the fleet")
    by_app: dict[str, dict[str, CheckResult]] = defaultdict(dict)
    for (app_id, check), result in answers.items():
        by_app[app_id][check] = result
    notes += _unknown_waivers(apps.values(), run.checks_known)
    day = run.started_at.date()
    reports = tuple(
        _level(
            _app(apps[app_id], by_app[app_id], told.get(app_id), day, run),
            known,
        )
        for app_id in sorted(apps)
    )
    definitions = levels.define(known, {check for _, check in answers})
    return Report(
        status=status,
        run=run,
        settings=masked_settings(settings),
        gate=evaluate_gate(reports, settings, known, shard=run.shard),
        dora_metrics=dora_metrics(reports, list(answers.values())),
        levels=definitions,
        apps=reports,
        checks=_totals(reports),
        consistency=consistency(reports),
        cost=_fleet_cost(reports),
        notes=tuple(dict.fromkeys(notes)),
    )


def complete(expected: Sequence[Pair], results: Sequence[CheckResult]) -> dict[Pair, CheckResult]:
    """One result for every expected check and for every other that has one."""
    answers: dict[Pair, CheckResult] = {}
    given = {(result.app_id, result.check_id): result for result in results}
    for pair in expected:
        answers[pair] = given.get(pair) or CheckResult(
            app_id=pair[0],
            check_id=pair[1],
            outcome=Outcome.NOT_RUN,
            reason="no_result",
            message="the run ended before this check",
            attempts=0,
        )
    for pair in sorted(given.keys() - answers.keys()):
        answers[pair] = given[pair]
    return answers


def _app(
    app: App,
    results: Mapping[str, CheckResult],
    facts: AppFacts | None,
    day: date,
    run: RunInfo,
) -> AppReport:
    outcomes = {check: result.outcome for check, result in results.items()}
    trusted = app.generation if app.generation and not app.generation.claimed else None
    claimed = facts.claimed if facts else None
    if claimed is None and app.generation is not None and app.generation.claimed:
        claimed = app.generation
    # An app without results of ours (a failed generation) may still have been asked.
    folder = app.path is not None or any(
        outcome is not Outcome.NOT_RUN and results[check].reason != "generation_failed"
        for check, outcome in outcomes.items()
    )
    if app.generation is not None and app.path is None:
        folder = False
    values = list(outcomes.values())
    return AppReport(
        app_id=app.app_id,
        origin=app.origin,
        generator=app.generator,
        model=app.model,
        prompt_id=app.prompt_id,
        attempt=app.attempt,
        stack=facts.stack if facts else (),
        fingerprint=facts.fingerprint if facts else None,
        loc=facts.loc if facts else None,
        coverage_percent=_coverage(results.get("tests")),
        folder=folder,
        pass_rate_applicable=scores.pass_rate(values, applicable_only=True),
        pass_rate_all=scores.pass_rate(values, applicable_only=False),
        eff_units=scores.eff_units(trusted),
        generation=_short(trusted),
        claimed_generation=_short(claimed),
        lead_time=lead_time(app.origin, trusted, results),
        cost=cost(trusted, list(results.values())),
        waivers=levels.applied_waivers(app.waivers, outcomes, day),
        details=f"runs/{run.id}/apps/{file_name(app.app_id)}.json",
        checks={check: _summary(result, app, day) for check, result in results.items()},
    )


def _summary(result: CheckResult, app: App, day: date) -> CheckSummary:
    waiver = levels.active_waiver(app.waivers, result.check_id, result.outcome, day)
    return CheckSummary(
        outcome=result.outcome,
        reason=result.reason,
        message=result.message[:_MESSAGE],
        score=result.score,
        verified_score=result.verified_score,
        seconds=None if result.outcome is Outcome.NOT_RUN else result.seconds,
        failing=tuple(dict.fromkeys(finding.probe for finding in result.failing))[:_PROBES],
        attempts=result.attempts,
        blocked_by=result.blocked_by,
        waived=waiver is not None,
        cache_key=result.cache_key,
    )


def _level(app: AppReport, known: frozenset[str]) -> AppReport:
    """The app with all that follows from its checks: level, needs and composite score."""
    statuses = {level: levels.judge(level, app, known) for level in Level}
    reached = None
    upcoming: Level | None = None
    for level in Level:
        if statuses[level].reached is not True:
            upcoming = level
            break
        reached = level
    needs = levels.needs(upcoming, app, known) if upcoming and app.folder else ()
    reason = statuses[upcoming].reason if upcoming and reached is None else None
    return app.model_copy(
        update={
            "level": reached,
            "level_reason": reason,
            "levels": statuses,
            "next_level_needs": needs,
            "deployable": statuses[Level.PRODUCTION_CANDIDATE].reached,
            "appeval_100": scores.appeval_100(app.checks),
        }
    )


def _coverage(result: CheckResult | None) -> float | None:
    """Covered lines in percent, as the tests check measured them."""
    if result is None:
        return None
    value = result.measurements.get("coverage_pct")
    return float(value) if isinstance(value, int | float) and 0 <= value <= 100 else None


def _short(generation: Generation | None) -> Generation | None:
    if generation is None or generation.prompt is None or len(generation.prompt) <= _PROMPT:
        return generation
    return generation.model_copy(update={"prompt": generation.prompt[: _PROMPT - 1] + "…"})


def _unknown_waivers(apps: Iterable[App], known: Sequence[str]) -> list[str]:
    """Waivers that accept nothing because of a spelling; told only where all checks are known."""
    return [
        f"{app.app_id}: a waiver names {waiver.check!r}, which is no check here"
        for app in apps
        for waiver in app.waivers
        if known and waiver.check not in known
    ]


def _totals(apps: Sequence[AppReport]) -> dict[str, CheckTotals]:
    """Counts and durations of every check, in the order in which apps met them."""
    names = dict.fromkeys(check for app in apps for check in app.checks)
    return {
        name: _total([app.checks[name] for app in apps if name in app.checks]) for name in names
    }


def _total(found: Sequence[CheckSummary]) -> CheckTotals:
    counts = {outcome.value: sum(one.outcome is outcome for one in found) for outcome in Outcome}
    applicable = len(found) - counts["not_applicable"]
    seconds = [one.seconds for one in found if one.seconds is not None]
    return CheckTotals(
        total=len(found),
        waived=sum(one.waived for one in found),
        pass_rate=counts["passed"] / applicable if applicable else None,
        ci95=stats.wilson(counts["passed"], applicable),
        seconds=Durations(
            p50=stats.quantile(seconds, 0.5),
            p90=stats.quantile(seconds, 0.9),
            max=max(seconds, default=None),
        ),
        **counts,
    )


def _fleet_cost(apps: Sequence[AppReport]) -> FleetCost:
    known = [app.cost.total_usd for app in apps if app.cost.total_usd is not None]
    if not known:
        reason = "generation_cost_unknown" if apps else "no_samples"
        return FleetCost(apps_without_cost=len(apps), reason=reason)
    ready = sum(app.deployable is True for app in apps)
    return FleetCost(
        total_usd=sum(known),
        apps_with_cost=len(known),
        apps_without_cost=len(apps) - len(known),
        median_usd=stats.median(known),
        per_deployable_app_usd=sum(known) / ready if ready else None,
        reason=None if ready else "no_deployable_app",
    )


def now_finished(run: RunInfo) -> RunInfo:
    """The run with the current time as its end."""
    return run.model_copy(update={"finished_at": utc_now()})

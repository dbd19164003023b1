"""A summary for people: the gate, the apps that need work first, the metrics.

All that an app could have written stands inside ``<code>`` with every character that Markdown,
HTML or a CI log could take for markup as an entity: no link, no mention, no table break.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_dora.model.production import FleetProduction
from pytest_dora.model.report import AppReport, Gate, GateStatus, Report
from pytest_dora.model.result import Outcome
from pytest_dora.model.settings import Level
from pytest_dora.report.text import counted, percent_with_interval, seconds_text

LIMIT = 900 * 1024
"""Bytes; GitHub refuses a step's summary above 1 MiB."""
_CUT = 200
_SIGNS = {
    Outcome.PASSED: "✅",
    Outcome.FAILED: "❌",
    Outcome.BLOCKED: "⛔",
    Outcome.NOT_APPLICABLE: "N/A",
    Outcome.INCONCLUSIVE: "❔",
    Outcome.ERROR: "💥",
    Outcome.CRASHED: "💥",
    Outcome.NOT_RUN: "⏹️",
}
_ORDER = [None, Level.RESEARCH, Level.PREVIEW, Level.PRODUCTION_CANDIDATE]


def render(report: Report, limit: int = LIMIT) -> str:
    """The report as Markdown, the worst apps first, of at most ``limit`` bytes of UTF-8."""
    head = "\n".join([*_head(report), "", *_checks(report), "", *_metrics(report), ""])
    tail = "\n" + "\n".join(_legend())
    rows = [_row(app, list(report.checks)) for app in worst_first(report.apps)]
    table = "\n".join(["## Apps, the worst first", "", *_table_head(list(report.checks))])
    room = limit - len(f"{head}{table}{tail}\n".encode()) - 200
    kept: list[str] = []
    for row in rows:
        room -= len(row.encode()) + 1
        if room < 0:
            break
        kept.append(row)
    if len(kept) < len(rows):
        tail = f"\n{len(rows) - len(kept)} more apps stand in `report.json`.\n{tail}"
    body = "\n".join([table, *kept]) if rows else "There were no apps."
    return f"{head}\n{body}\n{tail}\n"


def append_summary(report: Report, path: Path) -> None:
    """Append to the summary of a GitHub step, within what is left of its size. May raise OSError."""
    written = path.stat().st_size if path.exists() else 0
    text = render(report, LIMIT - written)
    if written + len(text.encode()) > LIMIT:
        text = "pytest-dora: no room is left in this summary; see `report.md`.\n"
    with path.open("ab") as file:
        file.write(text.encode())


def code(text: str, cut: int = _CUT) -> str:
    """Foreign text as inline code which cannot be anything else, on one line."""
    shown = "".join(char if char == " " or char.isprintable() else " " for char in text[: cut + 1])
    shown = " ".join(shown.split())
    if len(shown) > cut:
        shown = shown[: cut - 1] + "…"
    return f"<code>{_entities(shown)}</code>" if shown else "<code> </code>"


def _entities(text: str) -> str:
    escaped = "".join(char if _plain(char) else f"&#{ord(char)};" for char in text)
    return re.sub(r"(?i)www\.", lambda found: f"{found[0][:3]}&#46;", escaped)


def _plain(char: str) -> bool:
    if char in " -.,/=+()%…":
        return True
    return unicodedata.category(char)[0] in "LN" or (
        ord(char) > 127 and unicodedata.category(char)[0] in "MSP"
    )


def worst_first(apps: Sequence[AppReport]) -> list[AppReport]:
    """By level, then by share of passed checks, then by id."""
    return sorted(
        apps,
        key=lambda app: (_ORDER.index(app.level), app.pass_rate_all or 0.0, app.app_id),
    )


def _head(report: Report) -> list[str]:
    gate = report.gate
    lines = [f"# pytest-dora: {_gate_line(gate)}", ""]
    if report.status.value != "finished":
        lines += [f"This run is **{report.status.value}**: what is missing did not run.", ""]
    lines += [f"- {code(reason, 500)}" for reason in gate.reasons]
    lines += [
        f"- level `{one.level.value}` asks for {', '.join(one.requirements)}"
        + (f"; {one.reason}" if one.reason else "")
        for one in report.levels
    ]
    lines += [f"- {code(note, 300)}" for note in report.notes[:20]]
    return lines


def _gate_line(gate: Gate) -> str:
    apps = counted(gate.apps_total, "app")
    if gate.status is GateStatus.NOT_REQUESTED:
        return f"{apps}, no gate"
    level = gate.level.value if gate.level else ""
    if gate.status is GateStatus.NOT_EVALUATED:
        return f"{apps}, gate {level} not evaluated"
    word = {True: "gate met", False: "gate not met", None: "gate without a required share"}
    share = percent_with_interval(gate.percent, gate.ci95)
    return f"{word[gate.met]}: {gate.apps_reaching} of {apps} reach {level} ({share})"


def _checks(report: Report) -> list[str]:
    if not report.checks:
        return []
    names = ("passed", "failed", "blocked", "not_applicable", "inconclusive", "error", "crashed",
             "not_run", "waived")  # fmt: skip
    shown = [name for name in names if any(getattr(one, name) for one in report.checks.values())]
    lines = [
        "## Checks",
        "",
        _cells(["check", *(name.replace("_", " ") for name in shown), "pass rate", "p50", "p90"]),
        _cells(["---"] * (len(shown) + 4)),
    ]
    for name, one in report.checks.items():
        rate = None if one.pass_rate is None else 100 * one.pass_rate
        interval = None if one.ci95 is None else (100 * one.ci95[0], 100 * one.ci95[1])
        lines.append(
            _cells(
                [
                    code(name),
                    *(str(getattr(one, column)) for column in shown),
                    percent_with_interval(rate, interval),
                    seconds_text(one.seconds.p50),
                    seconds_text(one.seconds.p90),
                ]
            )
        )
    return lines


def _metrics(report: Report) -> list[str]:
    dora = report.dora_metrics
    failures = dora.change_failure_rate.estimated
    lead = dora.lead_time_for_changes.estimated
    ready = dora.deployment_frequency.estimated
    lines = ["## DORA metrics", ""]
    if report.production is None:
        lines += ["Estimated from this run; nothing was observed in production.", ""]
    else:
        lines += _observed(report, report.production)
        lines += ["", "Estimated from this run:", ""]
    lines += [
        f"- lead time to an app that answers, median: {seconds_text(lead.median_seconds)}"
        + _why(lead.reason, f"{lead.samples} apps"),
        "- predicted change failure rate: "
        + percent_with_interval(failures.percentage, failures.ci95)
        + _why(failures.reason, f"{failures.failing} of {failures.samples} apps"),
        "- deployable without a person: "
        + percent_with_interval(ready.deployable_percentage, ready.ci95)
        + _why(ready.reason, f"{ready.deployable_apps} of {ready.samples} apps"),
    ]
    if report.cost.total_usd is not None:
        lines.append(
            f"- generation cost: ${report.cost.total_usd:.2f} "
            f"(known for {report.cost.apps_with_cost} of {len(report.apps)} apps)"
        )
    odd = [
        f"- {name.replace('_', ' ')}: {code(one.app_id)} stands out ({one.value:g})"
        for name, found in report.consistency.items()
        for one in found.outliers[:5]
    ]
    return lines + odd


def _observed(report: Report, production: FleetProduction) -> list[str]:
    from pytest_dora.delivery.telling import heading, rows

    told = [f"- {name}: {text}" for name, text in rows(report.dora_metrics, production)]
    return [f"Observed: {heading(production, len(report.apps))}.", "", *told]


def _why(reason: str | None, samples: str) -> str:
    return f" ({reason})" if reason else f" ({samples})"


def _table_head(checks: Sequence[str]) -> list[str]:
    columns = ["app", "level", *(code(check) for check in checks), "first problem"]
    return [_cells(columns), _cells(["---"] * len(columns))]


def _row(app: AppReport, checks: Sequence[str]) -> str:
    cells = [code(app.app_id), app.level.value if app.level else "none"]
    for check in checks:
        one = app.checks.get(check)
        if one is None:
            cells.append("")
            continue
        score = "" if one.verified_score is None else f" {one.verified_score}/5"
        cells.append(_SIGNS[one.outcome] + score + (" waived" if one.waived else ""))
    return _cells([*cells, _problem(app)])


def _problem(app: AppReport) -> str:
    if not app.folder:
        error = app.generation.error if app.generation else None
        return f"generation failed: {code(error)}" if error else "generation failed"
    for check, one in app.checks.items():
        if one.outcome not in (Outcome.PASSED, Outcome.NOT_APPLICABLE, Outcome.BLOCKED):
            return f"{code(check)}: {code(one.message or one.reason or one.outcome.value)}"
    return code(app.next_level_needs[0]) if app.next_level_needs else ""


def _legend() -> Iterable[str]:
    words = ", ".join(f"{sign} {outcome.value}" for outcome, sign in _SIGNS.items())
    return ["", f"{words}. Findings and evidence stand in `runs/`.", ""]


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

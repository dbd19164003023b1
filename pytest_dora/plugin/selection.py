"""Which apps and which checks: profiles, exact filters, shards. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

import pytest

from pytest_dora.checks.registry import CheckSpec
from pytest_dora.model.settings import Level, Profile, Settings
from pytest_dora.plugin.text import node_name, one_line

_ID = re.compile(r"[a-z][a-z0-9_-]*")


def all_specs(
    builtin: Sequence[CheckSpec], added: Iterable[Sequence[CheckSpec]]
) -> tuple[CheckSpec, ...]:
    """Every check that exists, in order. Raises UsageError for ids that would be confused."""
    specs = [*builtin, *(spec for group in added for spec in group)]
    for number, spec in enumerate(specs):
        if not _ID.fullmatch(spec.id):
            raise pytest.UsageError(
                f"check id {spec.id!r}: small letters, digits, - and _ only, a letter first"
            )
        for other in specs[:number]:
            if spec.id in other.id or other.id in spec.id:
                raise pytest.UsageError(
                    f"check ids {other.id!r} and {spec.id!r}: one must not be a part of the "
                    "other, for -k matches parts of words; rename the added check"
                )
    return tuple(specs)


def made_items(specs: Sequence[CheckSpec], settings: Settings) -> tuple[CheckSpec, ...]:
    """The checks of the profile, and those that were named. Raises UsageError for no check."""
    for name in settings.checks:
        _known(name, [spec.id for spec in specs], "--dora-check", "check")
    return tuple(
        spec for spec in specs if settings.profile in spec.profiles or spec.id in settings.checks
    )


def selected_checks(specs: Sequence[CheckSpec], settings: Settings) -> frozenset[str]:
    """Ids of the checks that are made, given those that have items."""
    return frozenset(settings.checks or (spec.id for spec in specs))


def selected_apps(ids: Sequence[str], settings: Settings) -> frozenset[str]:
    """Ids of the apps that are evaluated. Raises UsageError for a pattern that fits none."""
    chosen = set(ids)
    if settings.apps and ids:
        for pattern in settings.apps:
            if not any(_fits(app_id, pattern) for app_id in ids):
                _known(pattern, ids, "--dora-app", "app")
        chosen = {
            app_id for app_id in ids if any(_fits(app_id, pattern) for pattern in settings.apps)
        }
    if settings.shard is not None:
        index, count = settings.shard
        # dealt out like cards, over the whole fleet: a filter must not move an app to another part
        chosen &= set(sorted(ids)[index - 1 :: count])
    return frozenset(chosen)


def _fits(app_id: str, pattern: str) -> bool:
    return app_id == pattern or fnmatchcase(app_id, pattern) or node_name(app_id) == pattern


def refuse_unreachable_level(
    settings: Settings, known: Collection[str], selected: Collection[str]
) -> None:
    """Refuse a gate whose checks exist and were filtered out. Raises UsageError."""
    if settings.gate is None and settings.fail_under is None:
        return
    from pytest_dora.report.levels import requirements

    level = settings.gate or Level.RESEARCH
    needed = {one.check for one in requirements(level, known)}
    dropped = [check for check in known if check in needed and check not in selected]
    if dropped:
        by = "--dora-check" if settings.checks else f"the {settings.profile.value} profile"
        larger = "" if settings.checks else f"; use --dora-profile {Profile.FULL.value}"
        raise pytest.UsageError(
            f"--dora-gate {level.value} needs {', '.join(dropped)}, which {by} leaves out{larger}"
        )


def refuse_unknown_ids(
    selections: Iterable[str], apps: Sequence[str], specs: Sequence[CheckSpec]
) -> None:
    """Refuse typed node ids that name no item. Raises UsageError."""
    names = [node_name(app_id) for app_id in apps]
    for selection in selections:
        parts = selection.split("::")[1:]
        if parts:
            _known(parts[0], names, selection, "app")
        if len(parts) > 1:
            _known(parts[1], [spec.id for spec in specs], selection, "check")
        if len(parts) > 2:
            raise pytest.UsageError(f"{selection}: an id ends with a check")


def _known(name: str, names: Sequence[str], place: str, what: str) -> None:
    if name in names:
        return
    close = difflib.get_close_matches(name, names, 1)
    some = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    hint = f"did you mean {close[0]!r}?" if close else f"there are {some or 'none'}"
    raise pytest.UsageError(f"{place}: no {what} {one_line(name)!r}; {one_line(hint)}")

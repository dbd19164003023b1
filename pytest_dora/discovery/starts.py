"""What is done to start plans once they are found: none twice, none with a service's address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_dora.model.plan import ServiceKind, ServiceNeed, StartPlan


def distinct(starts: Iterable[StartPlan]) -> list[StartPlan]:
    """Candidates without those that run the same commands again."""
    kept: list[StartPlan] = []
    seen: set[str] = set()
    for start in starts:
        key = repr(
            (
                [(one.argv, one.cwd) for one in start.prepare],
                [(one.argv, one.cwd, one.site) for one in start.processes],
            )
        )
        if key not in seen:
            seen.add(key)
            kept.append(start)
    return kept


def without_services(start: StartPlan, needs: Sequence[ServiceNeed]) -> StartPlan:
    """Addresses of databases come from whoever provides them, not from the image."""
    provided = {name for need in needs for name in need.env_names}
    if any(need.kind is ServiceKind.DATABRICKS for need in needs):
        provided |= {"DATABRICKS_HOST", "DATABRICKS_TOKEN"}
    if not provided:
        return start

    def cleaned(values: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if name not in provided}

    return start.model_copy(
        update={
            "prepare": tuple(
                one.model_copy(update={"env": cleaned(one.env)}) for one in start.prepare
            ),
            "processes": tuple(
                one.model_copy(update={"env": cleaned(one.env)}) for one in start.processes
            ),
        }
    )

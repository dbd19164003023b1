from __future__ import annotations

import json
from pathlib import Path

import execnet
from hypothesis import given
from hypothesis import strategies as st

from pytest_dora.model.base import utc_now
from pytest_dora.model.result import (
    CheckResult,
    Finding,
    FindingOutcome,
    Outcome,
    Remediation,
    Timing,
)
from pytest_dora.plugin.spool import Spool, plain


def full(message: str) -> CheckResult:
    return CheckResult(
        app_id="app",
        check_id="build",
        outcome=Outcome.FAILED,
        reason="build_failed",
        message=message,
        findings=(
            Finding(
                probe="build.step",
                outcome=FindingOutcome.FAIL,
                tier="dynamic",
                message=message,
                locations=("a.py:1",),
                evidence={"deep": [{"number": 2**70, "none": None, "text": message}]},
                remediation=Remediation(effort="low", text=message),
            ),
        ),
        timings=(Timing(name="install", started_at=utc_now(), seconds=1.5),),
        started_at=utc_now(),
    )


@given(st.text())
def test_what_crosses_processes_is_plain_and_comes_back_the_same(message: str) -> None:
    result = full(message)
    payload = {"result": plain(result), "facts": None}
    execnet.loads(execnet.dumps(payload))
    json.dumps(payload)
    assert CheckResult.model_validate(payload["result"]) == result


def test_text_that_is_no_unicode_is_replaced_not_lost() -> None:
    payload = plain(full("half \ud800 a pair"))
    execnet.dumps(payload)
    assert CheckResult.model_validate(payload).message == "half ? a pair"


def test_every_event_is_on_disk_before_the_next_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "gw0")
    path = tmp_path / "spool" / "gw0.jsonl"
    assert not path.exists(), "a process that runs nothing leaves no file"
    spool.started("app", "build")
    assert json.loads(path.read_text())["event"] == "check_started"
    spool.finished(plain(full("x")))
    spool.facts({"app_id": "app"})
    events = [json.loads(line)["event"] for line in path.read_text().splitlines()]
    assert events == ["check_started", "check_finished", "app_facts"]
    spool.close()
    spool.close()

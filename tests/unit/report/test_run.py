"""What is recorded of a run, and what never is."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_dora import __version__
from pytest_dora.model.settings import Settings
from pytest_dora.report.run import new_run_id, run_info
from pytest_dora.report.text import masked, percent_with_interval, seconds_text
from pytest_dora.report.writers import write_started
from tests.unit.report.samples import START, app, report, result, run

SECRET = "postgresql://me:s3cret@db/x"


def test_a_run_knows_its_machine() -> None:
    found = run_info("r", arguments=["--dora", "./apps"], workers=2, sandbox={"tier": "bubblewrap",
                     "self_test": {"mount": True}}, checks_known=("build",))  # fmt: skip
    assert found.tool.version == __version__
    assert found.cpus
    assert found.python
    assert found.platform
    assert found.versions.keys() >= {"pytest", "pydantic"}
    assert found.sandbox.self_test == {"mount": True}
    assert found.started_at.utcoffset() is not None


def test_run_ids_sort_by_time_and_differ() -> None:
    assert re.fullmatch(r"20260131T120000Z-[0-9a-f]{6}", new_run_id(START))
    assert new_run_id() != new_run_id()


def test_passwords_reach_no_file(tmp_path: Path) -> None:
    info = run_info("r1", arguments=[f"--dora-postgres={SECRET}"])
    settings = Settings(postgres_url=SECRET)
    write_started(info, tmp_path, settings=settings)
    made = report([app()], [result()], info=run(), postgres_url=SECRET)
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 3
    for text in (*written, made.model_dump_json()):
        assert "s3cret" not in text
    assert made.settings is not None
    assert made.settings.postgres_url == "postgresql://***@db/x"


def test_masking_leaves_other_text_alone() -> None:
    assert masked("see https://x.org/@you and a@b.c") == "see https://x.org/@you and a@b.c"


def test_numbers_are_told_to_people() -> None:
    assert [seconds_text(one) for one in (None, 0.042, 9.0, 12.4, 59.7, 425)] == [
        "unknown", "0.042 s", "9.0 s", "12 s", "1 min 0 s", "7 min 5 s",
    ]  # fmt: skip
    assert percent_with_interval(None, None) == "unknown"
    assert percent_with_interval(75.0, (30.06, 95.44)) == "75 %, 95 % interval 30 to 95 %"
    assert percent_with_interval(66.666, None) == "66.7 %"

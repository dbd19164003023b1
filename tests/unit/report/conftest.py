from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_job_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The summary of the CI job that runs these tests is none of their business."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

"""Files that are whole or absent, and Markdown in which apps can write nothing but text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_dora.model.app import Generation
from pytest_dora.model.fleet import AppFacts, Fleet
from pytest_dora.model.report import Report
from pytest_dora.report.files import write_atomically
from pytest_dora.report.names import file_name
from pytest_dora.report.writers import write_report, write_started
from pytest_dora.report.writers.markdown import LIMIT, append_summary, code, render
from pytest_dora.runtime.engine import safe_name
from tests.unit.discovery_fleet.strategies import names, texts
from tests.unit.report.samples import app, failing, report, result, run

NASTY = "<script>alert(1)</script> | @you #1 ::error file=x:: `x` [a](http://x) www.x.org\n\n# H"


def test_a_report_is_written_in_summary_and_in_full(tmp_path: Path) -> None:
    results = [result("a/b", "build", "failed", findings=[failing("build.x", "line\n" * 50)])]
    facts = [AppFacts(app_id="a/b", stack=("react",))]
    made = report([app("a/b")], results, facts=facts)
    assert write_report(made, results, facts, tmp_path) == ()
    assert Report.model_validate_json((tmp_path / "report.json").read_bytes()) == made
    details = json.loads((tmp_path / "runs" / "r1" / "apps" / "a%2Fb.json").read_bytes())
    assert details["app_id"] == "a/b"
    assert details["results"][0]["findings"][0]["probe"] == "build.x"
    assert details["facts"]["stack"] == ["react"]
    assert made.apps[0].details == "runs/r1/apps/a%2Fb.json"
    assert "build" in (tmp_path / "report.md").read_text()
    assert r"line\nline" not in (tmp_path / "report.json").read_text()


def test_the_first_report_says_that_nothing_has_run(tmp_path: Path) -> None:
    fleet = Fleet(apps=(app("a"),))
    write_started(run(), tmp_path, fleet=fleet, expected=[("a", "build")])
    content = json.loads((tmp_path / "report.json").read_bytes())
    assert content["status"] == "started"
    assert content["apps"][0]["checks"]["build"]["outcome"] == "not_run"
    write_started(run("r2"), tmp_path)
    assert json.loads((tmp_path / "report.json").read_bytes())["apps"] == []


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["report.json"]


def test_three_hundred_apps_fit_into_ten_megabytes(tmp_path: Path) -> None:
    checks = [f"check{number}" for number in range(14)]
    apps = [
        app(f"generated-app-{number:03}", generation=Generation(prompt="p" * 20_000))
        for number in range(300)
    ]
    results = [
        result(one.app_id, check, "failed", message="m" * 400, reason="timeout",
               findings=[failing(f"{check}.probe{n}", "x" * 4000) for n in range(20)],
               cache_key="0" * 64)
        for one in apps
        for check in checks
    ]  # fmt: skip
    made = report(apps, results)
    write_atomically(tmp_path / "r.json", made.model_dump_json().encode())
    assert (tmp_path / "r.json").stat().st_size < 10_000_000
    assert len(render(made).encode()) <= LIMIT


# --- names ----------------------------------------------------------------------------------


@given(names)
def test_a_file_name_is_safe_and_that_of_the_logs(name: str) -> None:
    found = file_name(name)
    assert "/" not in found
    assert not found.startswith(".")
    assert len(found.encode()) <= 200
    assert found == safe_name(name)


@given(st.lists(names, min_size=2, max_size=2, unique=True))
def test_different_apps_have_different_files(pair: list[str]) -> None:
    assert file_name(pair[0]) != file_name(pair[1])


def test_long_names_differ_by_their_end() -> None:
    assert file_name("x" * 400 + "a") != file_name("x" * 400 + "b")


# --- Markdown -------------------------------------------------------------------------------


def nasty_report(app_id: str, text: str) -> Report:
    lost = app(f"lost {app_id}", path=None, generation=Generation(success=False, error=text))
    facts = AppFacts(app_id=app_id, stack=(text,))
    results = [result(app_id, "build", "failed", message=text), result(app_id, "tests", "error")]
    return report([app(app_id), lost], results, facts=[facts], gate="research", fail_under=50,
                  info=run(notes=(text,)))  # fmt: skip


def check_harmless(text: str) -> None:
    """Read it as GitHub would, HTML allowed: no markup is there but ours."""
    tokens = [
        inner
        for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text)
        for inner in (token, *(token.children or ()))
    ]
    kinds = {token.type for token in tokens}
    assert not kinds & {
        "link_open",
        "image",
        "html_block",
        "fence",
        "code_block",
        "blockquote_open",
    }
    html = {token.content for token in tokens if token.type == "html_inline"}
    assert html <= {"<code>", "</code>"}
    for needle in ("://", "www.", "@", "::", "##["):
        assert needle not in text


def table_widths(text: str) -> list[list[int]]:
    """Cells of each row of each table."""
    tables: list[list[int]] = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append(0)
        elif token.type in ("td_open", "th_open"):
            tables[-1][-1] += 1
    return tables


@given(names, texts | st.just(NASTY))
@settings(max_examples=80, deadline=None)
def test_an_app_can_write_nothing_but_text(app_id: str, text: str) -> None:
    rendered = render(nasty_report(app_id, text))
    check_harmless(rendered)
    for rows in table_widths(rendered):
        assert len(set(rows)) == 1
    assert len(table_widths(rendered)[-1]) == 3


def test_nasty_text_is_still_readable() -> None:
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(code("<b>a|b</b> @me"))
    assert shown == "<p><code>&lt;b&gt;a|b&lt;/b&gt; @me</code></p>\n"


def test_control_characters_and_long_texts_are_cut() -> None:
    assert code("a\x1b[31m\u202eb\x00") == "<code>a &#91;31m b</code>"
    assert len(code("x" * 5000)) < 250
    assert code("") == "<code> </code>"


def test_the_worst_apps_come_first() -> None:
    made = report(
        [app("good"), app("bad")],
        [result("good", "build"), result("good", "runtime"), result("bad", "build", "failed")],
    )
    text = render(made)
    assert text.index("<code>bad</code>") < text.index("<code>good</code>")


def test_a_cut_table_says_what_it_left_out() -> None:
    made = report([app(f"a{n:04}") for n in range(500)], [result(f"a{n:04}") for n in range(500)])
    text = render(made, limit=20_000)
    assert len(text.encode()) <= 20_000
    rows = text.count("<code>a0")
    assert f"{500 - rows} more apps stand in `report.json`." in text


def test_a_jobs_summary_is_appended_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    write_report(report([app()], [result()]), [result()], [], tmp_path / "out")
    assert summary.read_text().startswith("before\n# pytest-dora: 1 app, no gate")


def test_a_full_summary_is_not_overfilled(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (LIMIT - 500))
    append_summary(report([app()], [result()]), summary)
    assert summary.stat().st_size <= LIMIT
    assert "no room is left" in summary.read_text()


def test_a_summary_that_cannot_be_written_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    told = write_report(report([app()], [result()]), [result()], [], tmp_path / "out")
    assert "was not written" in told[0]
    assert (tmp_path / "out" / "report.json").exists()

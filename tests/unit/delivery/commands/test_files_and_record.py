from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pytest_dora.delivery.commands import CommandError
from pytest_dora.delivery.commands.files import add_export, add_import
from pytest_dora.delivery.commands.record import add_record
from pytest_dora.delivery.failures import judge
from pytest_dora.delivery.fold import fold
from pytest_dora.delivery.policy import Policy, Window
from pytest_dora.delivery.spending import cost_of
from pytest_dora.delivery.store import Store
from pytest_dora.model.base import utc_now
from pytest_dora.model.events import CostBody, DeploymentBody, Event
from tests.unit.delivery.exchange.samples import NOW
from tests.unit.delivery.test_recording import written


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(message)


def run(*typed: str) -> int:
    parser = _Parser()
    commands = parser.add_subparsers(required=True)
    for add in (add_record, add_import, add_export):
        add(commands)
    chosen = parser.parse_args(list(typed))
    return int(chosen.act(chosen))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_DORA_STORE", raising=False)
    return  # the store of the current folder goes with it


def stored(url: str = ".dora/events.db") -> list[Event]:
    with Store.open(url) as store:
        return list(store.read())


def test_a_deployment_is_recorded_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("record", "deployment", "--app", "shop", "--id", "7", "--version", "1",
               "--started", "2026-06-01T11:59:00Z", "--finished", "2026-06-01T12:00:00Z",
               "--commit", "c", "--method", "ci", "--no-rollback", "--cost", "0.25",
               "--changes", "a", "b") == 0  # fmt: skip
    out = capsys.readouterr().out
    assert out.startswith("deployment 7 of shop: 3 events new, 0 known: ")
    (found,) = fold("shop", stored()).deployments
    assert (found.version, found.commit_sha, found.method, found.rollback, found.cost_usd) == (
        "1", "c", "ci", False, 0.25,
    )  # fmt: skip
    assert (found.finished_at, found.environment) == (NOW, "production")
    assert found.commit_shas == ("a", "b")


def test_what_is_recorded_again_is_known_and_what_contradicts_it_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = ["record", "deployment", "--app", "shop", "--id", "7",
             "--finished", "2026-06-01T12:00:00Z"]  # fmt: skip
    assert run(*typed) == 0
    assert run(*typed) == 0
    assert "0 events new, 2 known" in capsys.readouterr().out
    assert run(*typed, "--version", "2") == 1
    out, err = capsys.readouterr()
    assert "1 refused by the store (conflicting_duplicate 1)" in out
    assert "deployment/7/facts/success: says otherwise than the stored event" in err
    assert "body.version" in err
    assert "record a correction" in err


def test_an_incident_is_opened_and_closed_by_its_id() -> None:
    typed = ("record", "incident", "--app", "shop", "--id", "I-1")
    assert run(*typed, "--kind", "outage", "--detected", "2026-06-01T12:00:00Z") == 0
    (opened,) = fold("shop", stored()).incidents
    assert opened.resolved_at is None
    assert run(*typed, "--resolved", "2026-06-01T14:30:00+02:00", "--caused-by-version", "1",
               "--no-external-cause") == 0  # fmt: skip
    (closed,) = fold("shop", stored()).incidents
    assert closed.resolved_at is not None
    assert (closed.resolved_at - NOW).total_seconds() == 30 * 60
    assert closed.caused_by is not None
    assert closed.caused_by.version == "1"
    assert closed.external_cause is False


@pytest.mark.parametrize(
    "typed",
    [
        ("generation", "--prompted", "2026-06-01T11:00:00Z", "--completed", "2026-06-01T11:05:00Z",
         "--success", "--model", "m", "--input-tokens", "10", "--cost", "0.5"),
        ("build", "--started", "2026-06-01T11:00:00Z", "--status", "failed"),
        ("cost", "--category", "other", "--usd", "3"),
        ("change", "--commit", "c", "--merged", "2026-06-01T11:00:00Z", "--reverts", "b"),
        ("health", "--start", "2026-06-01T11:00:00Z", "--end", "2026-06-01T12:00:00Z",
         "--uptime", "0.999", "--requests", "100", "--errors", "1", "--p99-ms", "250"),
    ],
    ids=lambda typed: typed[0],
)  # fmt: skip
def test_every_other_kind_is_recorded_as_one_event(typed: tuple[str, ...]) -> None:
    kind, *rest = typed
    assert run("record", kind, "--app", "shop", *rest) == 0
    (event,) = stored()
    assert (event.body.kind, event.app_id, event.source) == (kind, "shop", "record")
    assert event.environment is None


def test_a_report_says_whose_deployment_it_is_and_of_which_tree(tmp_path: Path) -> None:
    path = str(written(tmp_path, "shop", "blog"))
    assert run("record", "deployment", "--report", path, "--app", "shop") == 0
    body = next(one.body for one in stored() if isinstance(one.body, DeploymentBody))
    assert (body.fingerprint, body.version) == ("tree of shop", "tree of shop")
    assert body.run_id
    assert run("record", "deployment", "--report", path, "--app", "blog", "--commit", "c") == 0
    bodies = [one.body for one in stored() if one.app_id == "blog"]
    named = next(one for one in bodies if isinstance(one, DeploymentBody))
    assert (named.version, named.commit_sha) == (None, "c")


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        (("deployment",), "name the app with --app, or a report with --report"),
        (("deployment", "--app", "a", "--started", "2026-06-01T12:00:00"), "needs a zone: write"),
        (("deployment", "--app", "a", "--status", "done"), "invalid choice: 'done'"),
        (("deployment", "--app", "a", "--status", "pending", "--finished", "now"), "no finish"),
        (("deployment", "--report", "absent.json"), "absent.json: cannot be read"),
        (("cost", "--app", "a", "--category", "other", "--usd", "-1"), "usd: Input should be"),
        (("cost", "--app", "a", "--category", "other", "--usd", "nan"), "usd: Input should be"),
        (("incident", "--app", "a\nb", "--id", "1", "--url", "u", "--store", "/absent/x/e.db"),
         "there is no folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_said_and_nothing_is_stored(
    typed: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(CommandError) as caught:
        run("record", *typed)
    assert reason in str(caught.value)
    assert not (tmp_path / ".dora" / "events.db").exists()


def test_the_store_is_that_of_the_command_line_else_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DORA_STORE", str(tmp_path / "team.db"))
    typed = ("record", "cost", "--app", "a", "--category", "other", "--usd", "1")
    assert run(*typed) == 0
    assert run(*typed, "--store", str(tmp_path / "mine.db")) == 0
    assert len(stored(str(tmp_path / "team.db"))) == len(stored(str(tmp_path / "mine.db"))) == 1
    assert not (tmp_path / ".dora").exists()


COST = Event(key="a/1", source="test", occurred_at=NOW, observed_at=NOW,
             body=CostBody(category="other", usd=1))  # fmt: skip


def test_files_are_imported_and_what_is_refused_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, mixed = tmp_path / "good.jsonl", tmp_path / "mixed.jsonl"
    good.write_text(COST.model_dump_json() + "\n")
    other = COST.model_copy(update={"key": "a/2"})
    mixed.write_text(f"{COST.model_dump_json()}\n{{\n{other.model_dump_json()}\n")
    assert run("import", str(good), "--app", "shop", "--environment", "staging") == 0
    assert "1 event new, 0 known: " in capsys.readouterr().out
    assert [(one.app_id, one.environment) for one in stored()] == [("shop", "staging")]
    assert run("import", str(good), str(mixed), "--app", "shop", "--environment", "staging") == 1
    out, err = capsys.readouterr()
    assert "1 event new, 2 known, 1 refused: see above: " in out
    assert f"{mixed}:2: is not JSON: " in err
    assert len(stored()) == 2


def test_an_event_that_contradicts_the_store_is_refused_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "events.jsonl"
    said = json.loads(COST.model_dump_json())
    path.write_text(json.dumps(said) + "\n" + json.dumps({**said, "source": "other"}) + "\n")
    for _ in range(2):  # and again, when it is refused again
        assert run("import", str(path)) == 1
        out, err = capsys.readouterr()
        assert "1 refused by the store (conflicting_duplicate 1)" in out
        assert "a/1: says otherwise than the stored event of this key: source" in err


def test_standard_input_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.TextIOWrapper(io.BytesIO(COST.model_dump_json().encode()))
    monkeypatch.setattr(sys, "stdin", text)
    assert run("import", "-") == 0
    assert stored() == [COST]


def test_what_cannot_be_imported_is_said_before_anything_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(COST.model_dump_json())
    with pytest.raises(CommandError, match=r"absent\.jsonl: no such file"):
        run("import", str(path), str(tmp_path / "absent.jsonl"))
    with pytest.raises(CommandError, match="no format 'yaml'; formats are auto, jsonl"):
        run("import", str(path), "--format", "yaml")
    assert not (tmp_path / ".dora" / "events.db").exists()


def test_what_is_exported_can_be_imported_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        assert run("record", "deployment", "--app", "shop", "--id", str(number),
                   "--version", "1", "--finished", f"2026-06-0{number + 1}T12:00:00Z") == 0  # fmt: skip
    assert run("record", "cost", "--app", "blog", "--category", "other", "--usd", "1") == 0
    whole = stored()
    assert len(whole) == 7
    capsys.readouterr()
    assert run("export") == 0
    out, err = capsys.readouterr()
    assert "7 lines written, 0 events refused" in err
    (tmp_path / "all.jsonl").write_text(out)
    assert run("import", str(tmp_path / "all.jsonl"), "--store", "copy.db") == 0
    assert stored("copy.db") == whole

    chosen = ("export", "--app", "shop", "--since", "2026-06-02T00:00:00Z",
              "--until", "2026-06-03T00:00:00Z", "--format", "cdevents",
              "--output", "some.jsonl")  # fmt: skip
    assert run(*chosen) == 0
    documents = [json.loads(line) for line in Path("some.jsonl").read_text().splitlines()]
    assert [one["context"]["type"].split(".")[2] for one in documents] == [
        "pipelinerun", "service",
    ]  # fmt: skip


def test_what_a_format_cannot_say_is_told_and_the_status_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("record", "cost", "--app", "blog", "--id", "1", "--category", "other", "--usd", "1")
    assert run("export", "--format", "cdevents") == 1
    assert "record/blog/cost/1: CDEvents has no event for cost" in capsys.readouterr().err
    with pytest.raises(CommandError, match="no format 'yaml' is written"):
        run("export", "--format", "yaml")


def test_there_is_nothing_to_export_without_a_store() -> None:
    with pytest.raises(CommandError, match="there is no store: record or collect something"):
        run("export")


def test_a_name_from_a_file_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a\x1b[31m.jsonl"
    path.write_text("{\n\n")
    assert run("import", str(path)) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    kinds: list[Any] = ["deployment", "incident", "generation", "build", "cost", "change", "health"]
    for typed in (["import"], ["export"], ["record"], *(["record", kind] for kind in kinds)):
        with pytest.raises(SystemExit) as caught:
            run(*typed, "--help")
        assert caught.value.code == 0
        assert "--help" in capsys.readouterr().out


def test_an_environment_that_no_metric_would_count_is_told_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("record", "deployment", "--app", "shop", "--environment", "github-pages")
    assert "github-pages: its name does not tell a tier" in capsys.readouterr().err


def test_a_cost_is_spent_when_it_is_said_to_be_and_prices_what_it_refers_to() -> None:
    run("record", "deployment", "--app", "shop", "--id", "7", "--cost", "3")
    spent = ("--spent", "2026-06-01T12:00:00Z")
    run("record", "cost", "--app", "shop", "--category", "deployment", "--usd", "4",
        "--reference", "7", *spent)  # fmt: skip
    history = fold("shop", stored())
    assert [at for at, _ in history.costs] == [NOW]
    now = utc_now()
    total, _ = cost_of(history, Window(NOW - timedelta(days=1), now + timedelta(days=1)))
    assert total == 4


def test_an_incident_names_its_cause_by_the_id_of_the_record() -> None:
    run("record", "deployment", "--app", "shop", "--id", "7", "--finished", "2026-06-01T12:00:00Z")
    run("record", "incident", "--app", "shop", "--started", "2026-06-05T12:00:00Z",
        "--caused-by-deployment", "7")  # fmt: skip
    (one,) = judge(fold("shop", stored()), Policy(), utc_now()).judged
    assert one.evidence == "explicit"

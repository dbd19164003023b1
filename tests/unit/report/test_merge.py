"""Shards in any order make the whole; a run cut short is rebuilt from what its workers wrote."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_dora.model.app import App
from pytest_dora.model.base import utc_now
from pytest_dora.model.fleet import AppFacts, Fleet
from pytest_dora.model.report import Report, RunStatus
from pytest_dora.model.result import CheckResult
from pytest_dora.model.settings import Settings
from pytest_dora.report.assemble import assemble
from pytest_dora.report.inputs import Inputs, Recorded, RunError, read_run, write_inputs
from pytest_dora.report.merge import merge, merge_paths, run_folder
from pytest_dora.report.writers import write_report, write_started
from tests.unit.report.samples import Evaluated, app, evaluations, result, run


def shards_of(made: Evaluated, number: int) -> list[Recorded]:
    """The same evaluation as ``number`` machines would have made it, app by app."""
    places = {one.app_id: at % number for at, one in enumerate(made.fleet.apps)}
    shards = []
    for at in range(number):
        mine = {app_id for app_id, place in places.items() if place == at}
        shards.append(
            Recorded(
                folder=Path(f"/shards/{at + 1}/runs/r{at + 1}"),
                inputs=Inputs(
                    run=run(f"r{at + 1}", shard=(at + 1, number), workers=2),
                    fleet=made.fleet,
                    expected=tuple(pair for pair in made.expected if pair[0] in mine),
                    settings=made.settings.model_copy(update={"shard": (at + 1, number)}),
                ),
                results=tuple(one for one in made.results if one.app_id in mine),
                facts=tuple(one for one in made.facts if one.app_id in mine),
                status=RunStatus.FINISHED,
            )
        )
    return shards


def judgement(report: Report) -> dict[str, object]:
    """All that a report says but for the run it is of."""
    content = report.model_dump(exclude={"run", "settings"})
    for one in content["apps"]:
        del one["details"]
    return content


@given(evaluations(), st.integers(2, 5), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_shards_in_any_order_make_the_whole(
    made: Evaluated, number: int, shuffler: random.Random
) -> None:
    whole = assemble(made.fleet, made.expected, made.results, made.facts, run(), made.settings)
    shards = shards_of(made, number)
    shuffler.shuffle(shards)
    merged = merge(shards)
    assert judgement(merged.report) == judgement(whole)
    assert merged.report.run.shard is None
    assert merged.report.run.workers == 2 * number
    assert merged.report.run.merged_from == tuple(f"r{at + 1}" for at in range(number))
    assert merged.report == merge(shards[::-1]).report


def shard(number: int, total: int = 2, **changed: object) -> Recorded:
    fleet = Fleet(apps=(app("a"), app("b")))
    mine = "ab"[number - 1] if number <= 2 else "a"
    values = {
        "run": run(f"r{number}", shard=(number, total)),
        "fleet": fleet,
        "expected": ((mine, "build"),),
        "settings": Settings(gate="research"),
    }
    results = changed.pop("results", (result(mine),))
    facts = changed.pop("facts", ())
    inputs = Inputs(**{**values, **changed})
    return Recorded(Path(f"/s{number}"), inputs, results, facts, RunStatus.FINISHED)


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ([], "nothing to merge"),
        ([shard(1)], "shard 2 of 2 is missing; give the output folders of all 2 shards"),
        ([shard(1, 4), shard(3, 4)], "shard 2, 4 of 4 is missing"),
        ([shard(1), shard(1)], "shard 1 of 2 is also /s1; leave one of them out"),
        ([shard(1), shard(2, 3)], "different numbers of shards: /s1 is of 2, /s2 is of 3"),
        ([shard(1), shard(2, run=run("r2"))], "/s2: is no shard but a whole run"),
        ([shard(1), shard(2, fleet=Fleet(apps=(app("a"),)))], "only one has 'b'"),
        ([shard(1), shard(2, fleet=Fleet(apps=(app("a"), app("b", origin="human"))))],
         "describe 'b' differently"),
        ([shard(1), shard(2, settings=Settings(gate="preview"))], "differ in gate"),
        ([shard(1), shard(2, run=run("r2", shard=(2, 2), tool={"version": "9"}))],
         "different versions of pytest-dora"),
        ([shard(1), shard(2, expected=(("a", "build"),))], "both evaluated a::build"),
        ([shard(1), shard(2, results=(result("a", outcome="failed"),))],
         "a::build has another result in another shard"),
        ([shard(1, facts=(AppFacts(app_id="a", fingerprint="1"),)),
          shard(2, facts=(AppFacts(app_id="a", fingerprint="2"),))],
         "'a' changed between the shards"),
    ],
)  # fmt: skip
def test_missing_and_contradicting_shards_are_refused(shards: list[Recorded], message: str) -> None:
    for order in (shards, shards[::-1]) if "is no shard" not in message else (shards,):
        try:
            merge(order)
        except RunError as error:
            told = str(error)
        else:
            pytest.fail("merged what contradicts itself")
        assert "\n" not in told
    with pytest.raises(RunError) as caught:
        merge(shards)
    assert message in str(caught.value)


def test_machines_may_keep_the_apps_in_different_places() -> None:
    moved = Fleet(apps=(app("a", path=Path("/x/a")), app("b", path=Path("/x/b"))))
    merged = merge([shard(1), shard(2, fleet=moved)])
    assert [one.app_id for one in merged.report.apps] == ["a", "b"]


def test_the_gate_is_evaluated_anew() -> None:
    asked = Settings(gate="research", fail_under=50)
    shards = [
        shard(number, settings=asked, expected=((name, "build"), (name, "runtime")),
              results=(result(name), result(name, "runtime", outcome)))
        for number, name, outcome in ((1, "a", "passed"), (2, "b", "failed"))
    ]  # fmt: skip
    gate = merge(shards).report.gate
    assert (gate.status, gate.apps_total, gate.apps_reaching, gate.met) == (
        "evaluated", 2, 1, True,
    )  # fmt: skip


# --- files ----------------------------------------------------------------------------------


def spool(folder: Path, worker: str, *events: object) -> None:
    (folder / "spool").mkdir(exist_ok=True)
    with (folder / "spool" / f"{worker}.jsonl").open("a") as file:
        for event in events:
            file.write(event if isinstance(event, str) else json.dumps(event) + "\n")


def started(app_id: str, check: str) -> dict[str, object]:
    at = utc_now().isoformat()
    return {"event": "check_started", "app_id": app_id, "check_id": check, "at": at}


def finished(one: CheckResult) -> dict[str, object]:
    return {"event": "check_finished", "result": one.model_dump(mode="json")}


def begin(
    output: Path, apps: Sequence[App], checks: Sequence[str] = ("build", "tests"), **info: object
) -> Path:
    """A run that wrote its first report; its folder."""
    expected = [(one.app_id, check) for one in apps for check in checks]
    about = run(str(info.pop("run_id", "r1")), **info)
    write_started(about, output, fleet=Fleet(apps=tuple(apps)), expected=expected)
    return output / "runs" / about.id


def test_a_run_that_was_killed_is_rebuilt_from_its_spools(tmp_path: Path) -> None:
    folder = begin(tmp_path, [app("a"), app("b")])
    facts = AppFacts(app_id="a", stack=("vite",), loc=5)
    spool(
        folder, "gw0", started("a", "build"), finished(result("a", "build")),
        {"event": "app_facts", "facts": facts.model_dump(mode="json")}, started("a", "tests"),
    )  # fmt: skip
    spool(folder, "gw1", started("b", "build"), finished(result("b", "build", "failed")),
          '{"event": "check_fin')  # fmt: skip
    merged, output = merge_paths([tmp_path])
    assert output == tmp_path
    assert merged.report.status is RunStatus.INTERRUPTED
    outcomes = {
        (one.app_id, check): summary.outcome.value
        for one in merged.report.apps
        for check, summary in one.checks.items()
    }
    assert outcomes == {
        ("a", "build"): "passed", ("a", "tests"): "crashed", ("b", "build"): "failed",
        ("b", "tests"): "not_run",
    }  # fmt: skip
    assert merged.report.apps[0].checks["tests"].reason == "worker_died"
    assert (merged.report.apps[0].stack, merged.report.apps[0].loc) == (("vite",), 5)
    assert Report.model_validate_json((tmp_path / "report.json").read_bytes()) == merged.report
    assert (folder / "apps" / "a.json").exists()


def test_rebuilding_again_changes_nothing(tmp_path: Path) -> None:
    folder = begin(tmp_path, [app("a")])
    spool(folder, "gw0", finished(result("a", "build")))
    first = merge_paths([folder])[0].report
    assert merge_paths([tmp_path / "report.json"])[0].report == first


def test_a_finished_run_is_rebuilt_as_it_was(tmp_path: Path) -> None:
    folder = begin(tmp_path, [app("a")])
    recorded = read_run(folder)
    results = [result("a", "build"), result("a", "tests", "crashed")]
    made = assemble(
        recorded.inputs.fleet, recorded.inputs.expected, results, (),
        run(finished_at=utc_now()), recorded.inputs.settings,
    )  # fmt: skip
    write_report(made, results, (), tmp_path)
    spool(folder, "gw0", finished(result("a", "build")), started("a", "tests"))
    assert merge_paths([tmp_path])[0].report == made


def test_of_two_answers_in_the_spools_the_later_counts(tmp_path: Path) -> None:
    folder = begin(tmp_path, [app("a")])
    late = result("a", "build", "passed", started_at="2026-01-31T12:05:00Z")
    early = result("a", "build", "failed", started_at="2026-01-31T12:00:00Z")
    spool(folder, "gw0", started("a", "build"), finished(late))
    spool(folder, "gw1", started("a", "build"), finished(early))
    assert read_run(folder).results == (late,)


def test_a_check_that_a_second_worker_finished_did_not_crash(tmp_path: Path) -> None:
    folder = begin(tmp_path, [app("a")])
    spool(folder, "gw0", started("a", "build"))
    spool(folder, "gw1", started("a", "build"), finished(result("a", "build")))
    assert [one.outcome for one in read_run(folder).results] == ["passed"]


def test_lines_that_are_no_events_are_noted(tmp_path: Path) -> None:
    folder = begin(tmp_path, [app("a")])
    spool(folder, "gw0", "broken\n", '{"event": "check_finished"}\n', '["x"]\n', '{"no": 1}\n',
          finished(result("a", "build")))  # fmt: skip
    recorded = read_run(folder)
    assert len(recorded.results) == 1
    assert recorded.notes == (
        "gw0.jsonl:1: not JSON; skipped",
        "gw0.jsonl:2: not an event of this version; skipped",
        "gw0.jsonl:4: not an event of this version; skipped",
    )


def write_shard(root: Path, number: int, app_id: str) -> Path:
    output = root / f"shard{number}"
    about = run(f"r{number}", shard=(number, 2))
    settings = Settings(gate="research", fail_under=50, shard=(number, 2), output=output)
    fleet = Fleet(apps=(app("a"), app("b")))
    expected = [(app_id, "build"), (app_id, "runtime")]
    write_started(about, output, fleet=fleet, expected=expected, settings=settings)
    results = [result(app_id, check, log="logs/x.log") for _, check in expected]
    made = assemble(fleet, expected, results, (), about, settings)
    write_report(made, results, (), output)
    (output / "runs" / about.id / "logs" / app_id).mkdir(parents=True)
    (output / "runs" / about.id / "logs" / app_id / "build.log").write_text("built\n")
    return output


def test_shards_are_merged_from_their_folders(tmp_path: Path) -> None:
    outputs = [write_shard(tmp_path, 2, "b"), write_shard(tmp_path, 1, "a")]
    merged, output = merge_paths(outputs, tmp_path / "all")
    assert output == tmp_path / "all"
    assert merged.report.gate.met is True
    assert merged.report.gate.apps_reaching == 2
    folder = output / "runs" / merged.report.run.id
    assert (folder / "logs" / "b" / "build.log").read_text() == "built\n"
    again, _ = merge_paths([output])
    assert judgement(again.report) == judgement(merged.report)


def test_the_same_shard_by_two_names_is_one(tmp_path: Path) -> None:
    one, two = write_shard(tmp_path, 1, "a"), write_shard(tmp_path, 2, "b")
    merged, _ = merge_paths([one, one / "report.json", two / "runs" / "r2"], tmp_path / "all")
    assert len(merged.report.run.merged_from) == 2


def test_rebuilding_an_old_run_does_not_replace_the_report_of_a_later_one(tmp_path: Path) -> None:
    old = begin(tmp_path, [app("a")], run_id="old", started_at="2026-01-01T00:00:00Z")
    begin(tmp_path, [app("a")], run_id="new")
    with pytest.raises(RunError, match=r"is of a later run \(new\); give --output DIR"):
        merge_paths([old])
    assert merge_paths([old], tmp_path / "again")[0].report.run.id == "old"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere", None, "report.json: does not exist"),
        ("report.json", "{", "is no report of this version"),
        ("report.json", '{"schema_version": 1}', "is no report of this version"),
    ],
)
def test_what_is_no_report_is_told(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    else:
        path.mkdir()
    with pytest.raises(RunError, match=message):
        run_folder(path)


def test_a_report_without_its_run_says_what_is_missing(tmp_path: Path) -> None:
    begin(tmp_path, [app("a")])
    (tmp_path / "alone").mkdir()
    (tmp_path / "report.json").rename(tmp_path / "alone" / "report.json")
    with pytest.raises(RunError, match="runs/r1 is not beside it"):
        run_folder(tmp_path / "alone")


def test_a_broken_file_of_a_run_is_named(tmp_path: Path) -> None:
    folder = begin(tmp_path, [app("a")])
    (folder / "apps").mkdir()
    (folder / "apps" / "a.json").write_text('{"results": 3}')
    with pytest.raises(RunError, match=r"a\.json: is not an app's file"):
        read_run(folder)
    (folder / "run.json").write_text("{\n")
    with pytest.raises(RunError, match=r"run\.json:2: no valid JSON"):
        read_run(folder)
    (folder / "run.json").unlink()
    with pytest.raises(RunError, match=r"run\.json: does not exist; give a run's folder"):
        read_run(folder)


def test_what_was_known_at_the_start_is_read_back(tmp_path: Path) -> None:
    fleet = Fleet(apps=(app("a b"), app("ä")), notes=("n",), roots=(Path("/apps"),))
    inputs = Inputs(run(), fleet, (("a b", "build"), ("ä", "x")), Settings(fail_under=3))
    write_inputs(inputs, tmp_path)
    recorded = read_run(tmp_path / "runs" / "r1")
    assert recorded.inputs == inputs
    assert recorded.status is RunStatus.INTERRUPTED

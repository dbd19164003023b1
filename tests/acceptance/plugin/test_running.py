"""The whole way from folders to items, reports and exit status, on every kind of process."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.plugin.project import FAKE, MODES, Project, normalised

_FAILED = {"outcome": "failed", "reason": "no_start", "message": "cannot listen"}
TWO = (MODES["serial"], MODES["two-workers"])
_BLOCKED = {"outcome": "blocked", "reason": "no_start", "blocked_by": "alpha", "message": "blocked"}


def _varied(project: Project) -> None:
    project.app("good")
    project.app("bad", beta=_BLOCKED, alpha={
        "outcome": "failed", "reason": "build_failed", "message": "::error file=x::\x1b]0;t\x07 no",
        "findings": [{"probe": "alpha.step", "outcome": "fail", "tier": "dynamic",
                      "message": "::set-output name=x::y\n##[error]z", "locations": ["a.ts:3"]}],
    })  # fmt: skip
    project.app("we ird[1]", beta={"outcome": "not_applicable", "message": "no types"})
    project.app("unclear", gamma={"outcome": "inconclusive", "reason": "tool_missing"})
    project.app("test-broken", alpha={"do": "raise"})
    (project.root / "apps" / ".hidden").mkdir()


def test_every_way_of_running_gives_the_same_report(project: Project) -> None:
    _varied(project)
    reports = {}
    for name, arguments in {**MODES, "six-workers": ("-n", "6")}.items():
        ran = project.run("apps", *FAKE, *arguments)
        assert ran.status == 1, ran.text
        assert "2 failed, 10 passed, 3 skipped" in ran.text, name
        _short_and_without_commands(ran.text)
        reports[name] = normalised(ran.report)
    assert reports["serial"]["status"] == "finished"
    outcomes = {app["app_id"]: app["checks"] for app in reports["serial"]["apps"]}
    assert list(outcomes) == ["bad", "good", "test-broken", "unclear", "we ird[1]"]
    assert outcomes["test-broken"]["alpha"]["outcome"] == "error"
    for name, report in reports.items():
        assert report == reports["serial"], name


def _short_and_without_commands(text: str) -> None:
    """A failure is told in lines of ours, none of which a CI system obeys."""
    assert "bad: alpha failed (build_failed): ::error file=x:: no" in text
    assert "  | alpha.step: ::set-output name=x::y" in text
    assert "FAILED .dora/fleet.toml::bad::alpha - failed (build_failed): ::error" in text
    assert "Traceback" not in text
    assert "##[" not in text
    assert "\x1b]" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


def test_an_app_has_one_session_on_one_worker_and_its_checks_in_order(project: Project) -> None:
    for number in range(5):
        project.app(f"app{number}")
    ran = project.run("apps", *FAKE, "-n", "3")
    assert ran.status == 0, ran.text
    for number in range(5):
        mine = [one for one in project.asked if one[0] == f"app{number}"]
        assert [check for _, check, _, _ in mine] == ["alpha", "beta", "gamma"]
        assert len({(process, session) for _, _, process, session in mine}) == 1
    assert len({process for _, _, process, _ in project.asked}) > 1


def test_ids_can_be_typed_back(project: Project) -> None:
    project.app("shop")
    project.app("we ird[1]")
    assert project.run("apps", "--co").status == 0
    ran = project.run(".dora/fleet.toml::shop::alpha", ".dora/fleet.toml::we%20ird%5B1%5D::beta",
                      "-n", "2")  # fmt: skip
    assert ran.status == 0, ran.text
    assert ran.outcomes == {"shop": {"alpha": "passed"}, "we ird[1]": {"beta": "passed"}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("apps", "--dora-app", "nope"), "--dora-app: no app 'nope'"),
        (("apps", "--dora-check", "alfa"), "--dora-check: no check 'alfa'; did you mean 'alpha'?"),
        (("apps", *FAKE, "--dora-gate", "research"), "--dora-check leaves out"),
        (("apps", "--dora-fail-under", "101"), "--dora-fail-under (command line)"),
        (("apps", "--dora-shard", "3/2"), "--dora-shard (command line): '3/2' is not I/N"),
        (("apps::shop",), "a folder cannot be followed by '::'"),
        ((), "--dora needs a folder of apps"),
        (("nothing-here",), "nothing-here"),
    ],
)
def test_a_mistake_of_the_user_is_told_and_ends_with_4(
    project: Project, arguments: tuple[str, ...], message: str
) -> None:
    project.app("shop")
    ran = project.run(*arguments)
    assert ran.status == 4, ran.text
    assert message in ran.text
    assert "Traceback" not in ran.text
    assert not project.asked


def test_an_unknown_id_of_a_fleet_file_is_a_mistake_on_workers_too(project: Project) -> None:
    project.app("shop")
    project.run("apps", "--co")
    ran = project.run(".dora/fleet.toml::shopp::alpha", "-n", "2")
    assert ran.status == 4
    assert "did you mean 'shop'?" in ran.text


@pytest.mark.parametrize("mode", TWO, ids=["serial", "workers"])
def test_no_apps_ends_with_5(project: Project, mode: tuple[str, ...]) -> None:
    ran = project.run("apps", *mode)
    assert ran.status == 5, ran.text
    assert "no apps were found" in ran.text
    assert ran.report["status"] == "finished"


def test_a_session_that_judged_nothing_fails(project: Project) -> None:
    project.app("shop", alpha={"outcome": "inconclusive", "reason": "tool_missing"})
    ran = project.run("apps", "--dora-check", "alpha")
    assert ran.status == 1
    assert "nothing was judged" in ran.text


def test_under_strict_what_cannot_be_judged_fails(project: Project) -> None:
    project.app("shop", alpha={"outcome": "inconclusive", "reason": "tool_missing"})
    ran = project.run("apps", *FAKE, "--dora-strict")
    assert (ran.status, "1 failed, 2 passed" in ran.text) == (1, True)


def test_blocked_is_a_failure_where_its_cause_is_not_reported(project: Project) -> None:
    project.app("bad", alpha=_FAILED, beta=_BLOCKED)
    assert "1 failed, 1 passed, 1 skipped" in project.run("apps", *FAKE).text
    alone = project.run("apps", "--dora-check", "beta")
    assert (alone.status, "1 failed" in alone.text) == (1, True)


def test_the_exact_filter_means_the_whole_id(project: Project) -> None:
    for name in ("shop", "shop-two", "blog"):
        project.app(name)
    assert set(project.run("apps", *FAKE, "--dora-app", "shop").outcomes) == {"shop"}
    ran = project.run("apps", *FAKE, "--dora-app", "shop*", "-n", "2")
    assert set(ran.outcomes) == {"shop", "shop-two"}


@pytest.mark.parametrize(
    ("arguments", "items"),
    [
        (("-k", "blog and not beta"), {"blog": {"alpha", "gamma"}}),
        (("-m", "dora_check(id='beta')"), {"blog": {"beta"}, "shop": {"beta"}}),
        (("-m", "dora_app(id='shop')", "-n", "2"), {"shop": {"alpha", "beta", "gamma"}}),
        (("--deselect", ".dora/fleet.toml::blog"), {"shop": {"alpha", "beta", "gamma"}}),
    ],
)
def test_the_ways_of_pytest_select_items(
    project: Project, arguments: tuple[str, ...], items: dict[str, set[str]]
) -> None:
    project.app("blog")
    project.app("shop")
    ran = project.run("apps", *FAKE, *arguments)
    assert {app: set(checks) for app, checks in ran.outcomes.items()} == items


def test_shards_split_the_apps_and_leave_none_out(project: Project) -> None:
    names = [f"app{number}" for number in range(5)]
    for name in names:
        project.app(name)
    seen = []
    for shard in ("1/2", "2/2"):
        ran = project.run("apps", *FAKE, "--dora-shard", shard)
        assert ran.report["run"]["shard"] == [int(shard[0]), 2]
        seen += sorted(ran.outcomes)
    assert sorted(seen) == names


@pytest.mark.parametrize("mode", TWO, ids=["serial", "workers"])
def test_with_a_gate_failures_are_counted_and_errors_stay_failures(
    project: Project, mode: tuple[str, ...]
) -> None:
    project.app("good")
    project.app("bad", alpha=_FAILED, gamma={"do": "raise"})
    ran = project.run("apps", *FAKE, *mode, "--dora-profile", "smoke", "--dora-check",
                      "build,runtime", "--dora-fail-under", "100", "-k", "alpha or gamma",
                      "--runxfail")  # fmt: skip
    assert ran.status == 1, ran.text
    # the failure is the gate's to count, the error is not
    assert "1 failed" in ran.text
    assert "1 xfailed" in ran.text
    assert ran.report["gate"]["status"] == "not_evaluated"
    assert "The gate research was not evaluated" in ran.text


@pytest.mark.parametrize("mode", TWO, ids=["serial", "workers"])
def test_what_pytest_reports_elsewhere_is_whole(project: Project, mode: tuple[str, ...]) -> None:
    project.app("good")
    project.app("bad", alpha=_FAILED)
    xml = project.root / "junit.xml"
    ran = project.run("apps", *FAKE, *mode, f"--junitxml={xml}", "-o", "junit_family=xunit1",
                      "-p", "no:terminal", "-p", "no:cacheprovider")  # fmt: skip
    assert ran.status == 1
    text = xml.read_text()
    assert 'name="dora.app" value="bad"' in text
    assert text.count("<testcase") == 6
    assert ran.outcomes["bad"]["alpha"] == "failed"


def test_last_failed_runs_only_what_failed(project: Project) -> None:
    mode = MODES["two-workers"]
    project.app("good")
    project.app("bad", beta=_FAILED)
    project.run("apps", *FAKE, *mode)
    again = project.run("apps", *FAKE, *mode, "--lf")
    assert again.outcomes == {"bad": {"beta": "failed"}}
    first = project.run("apps", *FAKE, *mode, "--ff")
    assert "1 failed, 5 passed" in first.text
    order = [check for app, check, _, _ in project.asked[-6:] if app == "bad"]
    assert order == ["alpha", "beta", "gamma"]


@pytest.mark.parametrize("mode", TWO, ids=["serial", "workers"])
def test_stopping_at_the_first_failure_leaves_the_rest_not_run(
    project: Project, mode: tuple[str, ...]
) -> None:
    project.app("a-bad", alpha=_FAILED)
    for number in range(6):
        project.app(f"later{number}")
    ran = project.run("apps", *FAKE, *mode, "-x")
    assert ran.status in (1, 2)
    assert ran.report["status"] == "interrupted"
    outcomes = [one for checks in ran.outcomes.values() for one in checks.values()]
    assert len(outcomes) == 21
    assert outcomes.count("failed") == 1
    assert outcomes.count("not_run") >= 6
    assert "have no answer" in ran.text


@pytest.mark.parametrize("mode", TWO, ids=["serial", "workers"])
def test_a_rerun_asks_afresh_and_gives_one_result(project: Project, mode: tuple[str, ...]) -> None:
    project.app("flaky", beta={**_FAILED, "then": {"outcome": "passed"}})
    project.app("bad", beta=_FAILED)
    ran = project.run("apps", *FAKE, *mode, "-p", "pytest_rerunfailures", "--reruns", "2")
    assert ran.status == 1
    assert (ran.check("flaky", "beta")["outcome"], ran.check("flaky", "beta")["attempts"]) == (
        "passed", 2,
    )  # fmt: skip
    assert (ran.check("bad", "beta")["outcome"], ran.check("bad", "beta")["attempts"]) == (
        "failed", 3,
    )  # fmt: skip


def test_stepwise_goes_on_where_it_failed(project: Project) -> None:
    project.app("a")
    project.app("b", beta={**_FAILED, "then": {"outcome": "passed"}})
    first = project.run("apps", *FAKE, "--sw", "-p", "no:randomly")
    assert "1 failed, 4 passed" in first.text
    second = project.run("apps", *FAKE, "--sw", "-p", "no:randomly")
    assert second.outcomes == {"b": {"beta": "passed", "gamma": "passed"}}


def test_a_time_limit_of_the_evaluator_is_no_fault_of_the_app(project: Project) -> None:
    project.app("slow", beta={"do": "wait"})
    ran = project.run("apps", *FAKE, "-p", "pytest_timeout", "--timeout", "4",
                      "--timeout-method", "signal")  # fmt: skip
    assert ran.status == 1
    assert ran.check("slow", "beta")["outcome"] == "error"
    assert ran.check("slow", "beta")["reason"] == "cut_off"
    assert ran.check("slow", "gamma")["outcome"] == "passed"


def test_durations_of_a_run_are_kept_for_the_next(project: Project) -> None:
    project.app("shop")
    project.run("apps", *FAKE)
    history = json.loads((project.root / ".dora/history.json").read_text())
    assert set(history["seconds"]["shop"]) == {"alpha", "beta", "gamma"}

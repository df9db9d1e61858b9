"""A plan has tuned settings for every rule, or the suite's settings for every rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.expand import Plan, make_plan, make_tuning_plan
from grape_bench.plan.find import baseline_folders
from grape_bench.plan.overrides import Overrides
from grape_bench.report import settings
from tests.plan.suites import write_suite
from tests.plan.test_tuning import TUNING
from tests.score.trials import records_of

RULES = ("bp", "dfa", "dfa+anchor")


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(write_suite(tmp_path, more=TUNING))


def tune(suite: str, *rules: str, **overrides: object) -> None:
    """Write settings as if these rules had been searched and trial 2 was best."""
    plan = make_tuning_plan(suite, Overrides(**overrides))
    for rule in rules:
        trials = records_of([job for job in plan.jobs if job.rule == rule], best=2)
        settings.write(settings.chosen(plan.suite, trials), Path("baselines") / plan.suite.name)


def rates(plan: Plan) -> set[float]:
    return {job.optimizer["lr"] for job in plan.jobs}


def test_tuned_settings_are_used_and_the_budget_is_in_every_job(suite: str) -> None:
    tune(suite, *RULES)
    plan = make_plan(suite)
    assert rates(plan) == {0.07442} and {job.trials for job in plan.jobs} == {4}
    assert all(job.rule_settings["scale"] for job in plan.jobs if job.rule != "bp")
    assert "tuned, for each rule the best of 4 trials on validation (baselines/small)" in plan.tuned.note
    assert {job.seed for job in plan.jobs} == {0, 1}


def test_if_one_rule_has_no_settings_none_is_tuned_and_the_note_shows_the_command(suite: str, tmp_path: Path) -> None:
    tune(suite, *RULES)
    (tmp_path / "my.py").write_text("class MyRule: ...\n")
    plan = make_plan(suite, Overrides(rules=("my.py:MyRule",)))
    assert rates(plan) == {1e-3, 0.1} and {job.trials for job in plan.jobs} == {1}
    assert "untuned, for every rule (MyRule: no tuned settings)" in plan.tuned.note
    assert f"grape-bench tune {suite} --rule my.py:MyRule --only MyRule" in plan.tuned.note
    assert make_plan(suite, Overrides(only=("bp",))).tuned.trials == 4


def test_the_command_that_tunes_covers_no_rule_that_did_not_ask(suite: str, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text("class MyRule: ...\n")
    plan = make_plan(suite, Overrides(rules=("my.py:MyRule",), only=("MyRule",)))
    assert f"grape-bench tune {suite} --rule my.py:MyRule --only MyRule" in plan.tuned.note
    assert "--only" not in make_plan(suite).tuned.note


def test_the_untuned_option_ignores_tuned_settings(suite: str) -> None:
    tune(suite, *RULES)
    plan = make_plan(suite, Overrides(untuned=True))
    assert plan.tuned.trials == 1 and "--untuned" in plan.tuned.note


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("task.epochs=7", "another budget or other settings of first"),
        ("rule.dfa.lr=0.5", "another budget or other settings of first"),
        ("tuning.trials=5", "has 4 trials, not 5"),
        ("tuning.budget=0.25", "has trials with 1 of the budget, not 0.25"),
        ("tuning.space.lr.log=[1e-3, 1e-1]", "searched another space"),
        ("version=1.1", "is for small@1.0"),
    ],
)
def test_settings_tuned_for_something_else_are_not_used(suite: str, setting: str, why: str) -> None:
    tune(suite, *RULES)
    quoted = setting.replace("1.1", '"1.1"')
    tuned = make_plan(suite, Overrides(settings=(quoted,))).tuned
    assert tuned.trials == 1 and why in tuned.note and "--set" in tuned.note
    tune(suite, *RULES, settings=(quoted,))
    assert make_plan(suite, Overrides(settings=(quoted,))).tuned.trials in (4, 5)


def test_a_rule_edited_since_the_search_is_named(suite: str, tmp_path: Path) -> None:
    file = tmp_path / "my.py"
    file.write_text("class MyRule: ...\n")
    added = {"rules": ("my.py:MyRule",)}
    tune(suite, *RULES, "my.py:MyRule", **added)
    assert "edited" not in make_plan(suite, Overrides(**added)).tuned.note
    file.write_text("class MyRule: changed = True\n")
    plan = make_plan(suite, Overrides(**added))
    assert plan.tuned.trials == 4 and "edited since it was tuned: MyRule" in plan.tuned.note


def test_a_suite_without_a_search_has_no_note(tmp_path: Path) -> None:
    tuned = make_plan(str(write_suite(tmp_path))).tuned
    assert (tuned.trials, tuned.note) == (1, "")


def test_a_damaged_file_is_a_user_error(suite: str) -> None:
    tune(suite, *RULES)
    Path("baselines/small/dfa.json").write_text("{}")
    with pytest.raises(UserError, match=r"baselines/small/dfa\.json: not a file of tuned settings"):
        make_plan(suite)


def test_an_installed_package_ships_settings_and_the_users_own_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "site-packages/grape_bench"
    (package / "_baselines").mkdir(parents=True)
    monkeypatch.setattr("grape_bench.__file__", str(package / "__init__.py"))
    assert baseline_folders() == [Path("baselines"), package / "_baselines"]


def test_the_quickstart_ships_with_tuned_settings() -> None:
    assert make_plan("quickstart").tuned.trials == 8

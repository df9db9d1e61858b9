"""The search for settings: equal for all rules, and separate from the results."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.plan.expand import make_plan, make_tuning_plan
from grape_bench.plan.overrides import Overrides
from grape_bench.plan.suite import TUNING_SEED, Axis
from grape_bench.plan.tuning import points
from tests.plan.suites import write_suite

TUNING = """
[tuning]
trials = 4
space = { lr = { log = [1e-4, 1e-1] } }
[tuning.rule.dfa]
scale = { linear = [0.5, 2.0] }
[tuning.rule."dfa+anchor"]
every_epochs = { choice = [1, 2] }
"""


def test_every_rule_and_task_has_the_same_number_of_trials_at_the_same_points(tmp_path: Path) -> None:
    jobs = make_tuning_plan(str(write_suite(tmp_path, more=TUNING))).jobs
    assert len(jobs) == 4 * 2 * 3 and len({job.id for job in jobs}) == 24
    rates = {
        (task, rule): [job.optimizer["lr"] for job in jobs if (job.task, job.rule) == (task, rule)]
        for task in ("first", "second")
        for rule in ("bp", "dfa", "dfa+anchor")
    }
    assert len(set(rates["first", "bp"])) == 4 and all(1e-4 <= rate <= 1e-1 for rate in rates["first", "bp"])
    assert all(found == rates["first", "bp"] for found in rates.values())


def test_a_rules_own_settings_are_searched_along_with_the_shared_ones(tmp_path: Path) -> None:
    jobs = make_tuning_plan(str(write_suite(tmp_path, more=TUNING))).jobs
    assert {rule: {key for job in jobs if job.rule == rule for key in job.rule_settings} for rule in ("bp", "dfa")} == {
        "bp": set(),
        "dfa": {"scale"},
    }
    anchored = [job.rule_settings for job in jobs if job.rule == "dfa+anchor"]
    assert all(0.5 <= found["scale"] <= 2 for found in anchored)
    assert {found["every_epochs"] for found in anchored} == {1, 2}


def test_with_own_settings_each_rule_also_searches_what_its_paper_tunes(tmp_path: Path) -> None:
    more = TUNING.replace("[tuning.rule.dfa]", "own_settings = true\n[tuning.rule.dfa]")
    jobs = make_tuning_plan(str(write_suite(tmp_path, more=more)), Overrides(rules=("grape+anchor",))).jobs
    rates = {job.rule_settings["feedback_lr"] for job in jobs if job.rule == "grape+anchor"}
    assert len(rates) == 4 and all(1e-3 <= rate <= 1 for rate in rates)
    assert not any("feedback_lr" in job.rule_settings for job in jobs if job.rule != "grape+anchor")


def test_a_short_search_has_a_share_of_the_budget_in_whole_epochs_or_steps(tmp_path: Path) -> None:
    path = str(write_suite(tmp_path, more=TUNING.replace("trials = 4", "trials = 4\nbudget = 0.3")))
    changes = ("first.epochs=10", "first.warmup=5", "second.steps=1000")
    trials = make_tuning_plan(path, Overrides(settings=changes)).jobs
    assert {(job.task, job.epochs, job.steps, job.warmup) for job in trials} == {
        ("first", 3, None, 2),
        ("second", None, 300, 0),
    }
    jobs = make_plan(path, Overrides(settings=changes)).jobs
    assert {(job.epochs, job.steps) for job in jobs} == {(10, None), (None, 1000)}, "results have the whole budget"


def test_no_seed_of_a_trial_is_a_seed_of_a_result_and_no_two_trials_share_one(tmp_path: Path) -> None:
    path = str(write_suite(tmp_path, more=TUNING))
    trials = {job.trial: job.seed for job in make_tuning_plan(path).jobs}
    assert sorted(trials.values()) == [TUNING_SEED + number for number in range(4)]
    assert not set(trials.values()) & {job.seed for job in make_plan(path).jobs}
    with pytest.raises(UserError, match="seeds: must be less than or equal to 1000000, not 1000001"):
        make_plan(path, Overrides(seeds=TUNING_SEED + 1))


def test_points_are_the_same_everywhere_and_a_longer_search_extends_a_shorter_one() -> None:
    rate = Axis(log=[1e-4, 1e-1])
    found = [point["lr"] for point in points({"lr": rate}, 8)]
    assert found[:4] == [0.01323, 0.0004185, 0.07442, 0.002353]
    assert [point["lr"] for point in points({"lr": rate, "scale": Axis(linear=[0.0, 1.0])}, 16)][:8] == found
    # In base 2 every eighth of the range, on the log scale, has one of eight points.
    assert sorted(int(8 * (math.log10(rate) + 4) / 3) for rate in found) == list(range(8))


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        (Axis(log=[1e-4, 1.0]), [1e-4, 1e-2, 1.0]),
        (Axis(linear=[-1.0, 1.0]), [-1.0, 0.0, 1.0]),
        (Axis(choice=["a", "b", "c"]), ["a", "b", "c"]),
    ],
)
def test_an_axis_from_its_low_end_to_its_high_end(axis: Axis, values: list[object]) -> None:
    assert [axis.at(fraction) for fraction in (0.0, 0.5, 1.0)] == values


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", r"no \[tuning\] table"),
        (TUNING.replace("trials = 4", "trials = 0"), "tuning.trials: must be at least 1, not 0"),
        (TUNING.replace("rule.dfa]", "rule.dfaa]"), "tuning.rule: unknown rule 'dfaa'; did you mean 'dfa'"),
        (TUNING.replace("linear", "liner"), "unknown key 'liner'; did you mean 'linear'"),
        (TUNING + "".join(f"s{n} = {{ choice = [1] }}\n" for n in range(6)), r"dfa\+anchor has more than 6 settings"),
    ],
)
def test_a_suite_without_a_tuning_table_cannot_be_tuned(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_tuning_plan(str(write_suite(tmp_path, more=more)))


def test_the_settings_that_a_paper_tunes_count_as_settings_to_search(tmp_path: Path) -> None:
    shared = ", ".join(f"s{n} = {{ choice = [1] }}" for n in range(5))
    tuning = f"[tuning]\ntrials = 4\nown_settings = true\nspace = {{ lr = {{ log = [1e-4, 1e-1] }}, {shared} }}\n"
    suite = str(write_suite(tmp_path, old='"dfa+anchor"]', new='"grape"]', more=tuning))
    with pytest.raises(UserError, match=r"grape has more than 6 settings to search: lr, .*, feedback_lr"):
        make_tuning_plan(suite)


def test_a_trial_and_a_result_with_its_settings_are_two_jobs(tmp_path: Path) -> None:
    trial = make_tuning_plan(str(write_suite(tmp_path, more=TUNING))).jobs[0]
    result = replace(trial, trial=None, trials=4)
    assert trial.id != result.id and trial.name.startswith("first.bp.t0.") and str(trial) == "first bp trial 0"
    assert result.name.startswith(f"first.bp.s{TUNING_SEED}.")


def test_the_control_frozen_has_nothing_to_search_and_runs_beside_tuned_rules(tmp_path: Path) -> None:
    suite = str(write_suite(tmp_path, old='"dfa+anchor"]', new='"frozen"]', more=TUNING))
    assert {job.rule for job in make_tuning_plan(suite).jobs} == {"dfa", "bp"}
    assert {job.rule for job in make_plan(suite, Overrides()).jobs} == {"dfa", "bp", "frozen"}

"""Rules at equal cost, on curves with known answers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from grape_bench.errors import UserError
from grape_bench.record.status import Status
from grape_bench.score.cell import cells
from grape_bench.score.equal_cost import EqualCost, equal_cost
from tests.score.curves import Runs, merged, runs
from tests.score.records import failed, make

BP = runs("bp", 1.0, [50, 60, 70, 80])
TWICE = runs("x", 2.0, [60, 70, 80, 90], spread=0.1)
"""Twice as expensive: its evaluations are at costs 0.5, 1, 1.5 and 2."""


def compared(*groups: Runs, at: str = "seconds") -> EqualCost:
    records, curves = merged(*groups)
    return equal_cost(cells(records), curves, at)


def row(equal: EqualCost, rule: str, budget: float) -> dict[Any, Any]:
    table = equal.table
    (found,) = table[(table["rule"] == rule) & (table["budget"] == budget)].to_dict("records")
    return found


def test_a_rule_is_scored_where_its_cost_meets_the_budget() -> None:
    equal = compared(BP, TWICE)
    assert [row(equal, "bp", budget)["value"] for budget in (0.25, 0.5, 1.0)] == pytest.approx([50, 60, 80])
    assert [row(equal, "x", budget)["value"] for budget in (0.5, 1.0)] == pytest.approx([60, 70])
    assert row(equal, "x", 1.0)["whole_cost"] == 2.0 and row(equal, "x", 1.0)["share"] == 0.5


def test_at_equal_samples_a_step_of_every_rule_costs_the_same() -> None:
    equal = compared(BP, TWICE, at="samples")
    assert [row(equal, "x", budget)["value"] for budget in (0.25, 0.5, 1.0)] == pytest.approx([60, 70, 90])
    assert not any(pair.flips for pair in equal.pairs)


def test_the_interval_and_the_word_are_those_of_the_seeds() -> None:
    # Differences from BP at cost 1: -10.1, -10, -9.9, so ± 4.303 * 0.1 / sqrt(3) = 0.248.
    found = row(compared(BP, TWICE), "x", 1.0)
    assert (found["n"], found["draft"], found["vs_bp"]) == (3, True, "worse")
    assert found["minus_bp"] == pytest.approx(-10) and found["minus_bp_ci"] == pytest.approx(0.2484, abs=1e-4)
    assert found["value_ci"] == pytest.approx(0.2484, abs=1e-4)


def test_dfa_is_a_reference_too() -> None:
    equal = compared(BP, runs("dfa", 1.0, [40, 45, 50, 55]), TWICE)
    assert row(equal, "x", 1.0)["minus_dfa"] == pytest.approx(15) and row(equal, "x", 1.0)["vs_dfa"] == "better"
    assert row(equal, "dfa", 1.0)["vs_dfa"] == "" and math.isnan(row(equal, "dfa", 1.0)["minus_dfa"])


def test_a_score_between_two_evaluations_lies_on_a_straight_line() -> None:
    # At cost 1 a step of 1.6 has paid for 0.625 of the training: half way from 70 to 80.
    assert row(compared(BP, runs("x", 1.6, [60, 70, 80, 90])), "x", 1.0)["value"] == pytest.approx(75)


def test_there_is_no_score_before_the_first_evaluation() -> None:
    found = row(compared(BP, TWICE), "x", 0.25)
    assert found["n"] == 0 and math.isnan(found["value"]) and found["vs_bp"] == ""


def test_a_run_that_ended_is_shown_at_its_end_and_marked() -> None:
    equal = compared(BP, runs("x", 0.4, [40, 50]))
    assert not row(equal, "x", 0.25)["ended"] and not row(equal, "bp", 1.0)["ended"]
    found = row(equal, "x", 0.5)
    assert found["ended"] and found["value"] == 50 and found["share"] == 1.0


def test_frozen_is_a_level_without_a_cost() -> None:
    equal = compared(BP, TWICE, runs("frozen", 1.0, [65]))
    assert [row(equal, "frozen", budget)["value"] for budget in (0.25, 0.5, 1.0)] == [65, 65, 65]
    found = row(equal, "frozen", 1.0)
    assert math.isnan(found["whole_cost"]) and math.isnan(found["share"]) and not found["ended"]
    assert row(equal, "x", 1.0)["vs_control"] == "better" and row(equal, "bp", 0.25)["vs_control"] == "worse"
    assert all("frozen" not in (pair.first, pair.second) for pair in equal.pairs)


def test_a_row_depends_on_no_other_rule() -> None:
    alone = compared(BP, TWICE)
    beside = compared(BP, TWICE, runs("cheap", 0.1, [20, 21]), runs("y", 9.0, [10, 99]))
    pd.testing.assert_series_equal(pd.Series(row(alone, "x", 1.0)), pd.Series(row(beside, "x", 1.0)))


def test_a_diverged_seed_has_the_score_of_guessing_at_every_cost() -> None:
    records, curves = TWICE
    diverged = replace(records[2], status=Status.DIVERGED)
    equal = compared(BP, ([*records[:2], diverged], curves))
    # 10 percent is chance. The other seeds have 69.9 and 70 at cost 1.
    assert row(equal, "x", 1.0)["value"] == pytest.approx((69.9 + 70 + 10) / 3)
    assert row(equal, "x", 0.25)["n"] == 0  # guessing alone would be a mean without the seeds that trained


def test_rows_may_have_different_seeds_and_differences_use_the_common_ones() -> None:
    fewer = runs("x", 2.0, [60, 70, 80, 90], spread=1.0, seeds=2)
    equal = compared(runs("bp", 1.0, [50, 60, 70, 80], spread=1.0), fewer)
    # Seeds 0 and 1 of x at cost 1: 69 and 70. BP has 79, 80, 81.
    assert row(equal, "x", 1.0)["n"] == 2 and row(equal, "bp", 1.0)["n"] == 3
    assert row(equal, "x", 1.0)["value"] == pytest.approx(69.5)
    assert row(equal, "x", 1.0)["minus_bp"] == pytest.approx(-10)


def test_perplexity_is_compared_on_the_log_scale() -> None:
    metric = {"name": "perplexity", "unit": "", "chance": 100.0}
    equal = compared(runs("bp", 1.0, [40, 30], metric=metric), runs("x", 2.0, [40, 20], metric=metric))
    found = row(equal, "x", 1.0)
    assert found["value"] == pytest.approx(40) and found["minus_bp"] == pytest.approx(-math.log(40 / 30))
    (pair,) = equal.pairs
    assert (pair.first, pair.second, pair.flips) == ("x", "bp", True)


def test_the_best_so_far_counts_where_the_best_weights_do() -> None:
    best = runs("x", 1.0, [60, 80, 70, 75], select="best")
    bp = runs("bp", 1.0, [50, 60, 70, 80], select="best")
    assert row(compared(bp, best), "x", 1.0)["value"] == 80
    assert row(compared(BP, runs("x", 1.0, [60, 80, 70, 75])), "x", 1.0)["value"] == 75


def test_exact_steps_count_at_the_cost_of_bps() -> None:
    equal = compared(BP, runs("x+anchor", 3.0, [60, 70, 80, 90], credit={"anchor_share": 0.5}))
    assert row(equal, "x+anchor", 1.0)["whole_cost"] == pytest.approx(2.0)


def test_what_is_left_out_has_a_reason() -> None:
    plain = [make("y", seed) for seed in range(3)]
    records = [make("z", seed, profile=None) for seed in range(3)]
    equal = compared(BP, TWICE, (plain, {}), (records, {}), ([failed("usf", 0, "crashed")], {}))
    assert equal.notes == (
        "no learning curve: y (digits-mlp)",
        "no seconds of a step are recorded in a profile: z (digits-mlp)",
        "no result: usf (digits-mlp)",
    )
    assert set(equal.table["rule"]) == {"bp", "x"}


def test_a_rule_without_a_curve_on_one_task_is_compared_on_the_others() -> None:
    records, curves = merged(
        *(runs(rule, 1.0, [50, 60], task=task) for task in ("a", "b") for rule in ("bp", "x", "y"))
    )
    curves = {r.id: curves[r.id] for r in records if (r.task, r.rule) != ("b", "y")}
    equal = equal_cost(cells(records), curves, "seconds")
    assert equal.tasks == ["a", "b"] and equal.notes == ("no learning curve: y (b)",)
    assert list(equal.table.loc[equal.table["budget"] == 1.0, "rule"]) == ["bp", "x", "y", "bp", "x"]


def test_a_task_without_two_rules_is_left_out() -> None:
    equal = compared(BP, TWICE, runs("ep", 1.3, [50, 60], task="alone"))
    assert equal.tasks == ["digits-mlp"]


def test_missing_joules_name_the_runs_and_what_records_them() -> None:
    profile = {"step_ratio": 2.0, "flops": None, "energy": None}
    with pytest.raises(UserError) as raised:
        compared(BP, runs("x", 2.0, [60, 70], profile=profile), at="joules")
    said = str(raised.value)
    assert "no joules of a step are recorded in a profile: x (digits-mlp)" in said
    assert "allowed: --at samples, --at seconds" in said and "--at flops" not in said
    assert "on a GPU that counts its energy" in said


def test_without_curves_nothing_can_be_compared() -> None:
    with pytest.raises(UserError, match=r"no learning curve: bp, x \(digits-mlp\)"):
        compared(([*BP[0], *TWICE[0]], {}))


def test_the_schedule_of_the_learning_rate_is_known() -> None:
    assert compared(BP, TWICE).schedules == {}
    cosine = [runs(rule, 1.0, [50, 60], task="t", schedule="cosine") for rule in ("bp", "x")]
    assert compared(BP, TWICE, *cosine).schedules == {"cosine": ["t"]}

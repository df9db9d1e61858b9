import numpy as np
import pandas as pd
import pytest

from grape_bench.score.cell import cells
from grape_bench.score.overall import overall
from tests.score.records import failed, make, suite


def test_worked_example() -> None:
    # BP 90 and 70 with chance 10; x 50 and 55: norm acc 40/80 and 45/60, mean 0.625. One seed: no interval.
    values = {"bp": (90, 70), "x": (50, 55)}
    records = [make(r, 0, v, task=t) for r, row in values.items() for t, v in zip("ab", row, strict=True)]
    found = overall(cells(records)).set_index("rule")
    assert found.loc["x", "norm_acc"] == pytest.approx(0.625) and found.loc["bp", "norm_acc"] == 1
    assert found.loc["x", "rank"] == 2 and found.loc["x", "runs"] == 2
    assert np.isnan(found.loc["x", "norm_acc_low"])
    assert found.loc["x", "p"] == 0.5  # two pairs: 2 of 4 sign patterns


def test_the_best_is_bold_where_others_are_resolved() -> None:
    found = overall(cells(suite(5))).set_index("rule")
    assert found.index[0] == "bp" and found.loc["bp", "best"] and not found.loc["head-only", "best"]
    assert found.loc["head-only", "p"] < 0.05
    assert (found["norm_acc_low"] <= found["norm_acc"]).all() and (found["norm_acc"] <= found["norm_acc_high"]).all()


def test_a_rule_that_lacks_a_task_is_left_out_and_said() -> None:
    records = [*suite(3), make("usf", 0), failed("usf", 0, "oom", task="digits-vit")]
    found = overall(cells(records))
    assert "usf" not in set(found["rule"]) and found.attrs["left_out"] == ["usf"]


def test_one_task_has_no_overall_table() -> None:
    assert overall(cells(suite(3, ("t",)))).empty


def test_the_order_of_tasks_and_seeds_changes_no_digit() -> None:
    records = suite(8)  # 16 pairs: the permutations are sampled
    expected = overall(cells(records))
    draw = np.random.default_rng(0)
    for _ in range(3):
        shuffled = [records[i] for i in draw.permutation(len(records))]
        pd.testing.assert_frame_equal(overall(cells(shuffled)), expected, check_exact=True)


def test_adding_a_rule_changes_no_other_number() -> None:
    records = suite(5)
    before = overall(cells([r for r in records if r.rule != "fa"])).drop(columns=["rank", "p", "best"])
    after = overall(cells(records))
    after = after[after["rule"] != "fa"].reset_index(drop=True)
    pd.testing.assert_frame_equal(after[list(before)], before, check_exact=True)

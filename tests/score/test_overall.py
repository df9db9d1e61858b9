import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grape_bench.score.cell import Cell, cells
from grape_bench.score.overall import (
    better,
    bootstrap,
    interquartile_mean,
    norm_runs,
    overall,
    performance_profile,
    ranks,
    task_mean,
)
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


def test_p_is_against_bp_and_the_best_rule_has_a_line_of_its_own() -> None:
    table = overall(cells(suite(5)))
    found = table.set_index("rule")
    assert found.index[0] == "bp" and np.isnan(found.loc["bp", "p"])
    assert found.loc["head-only", "p"] == 2 / 2**10  # every one of the ten pairs is below BP
    # With Holm over the 28 pairs of 8 rules, 28 * 2 / 1024 is above 5 %: ten pairs resolve nothing among so many.
    assert table.attrs["best"].startswith("best: bp; not resolved: fa, ")
    assert (found["norm_acc_low"] <= found["norm_acc"]).all() and (found["norm_acc"] <= found["norm_acc_high"]).all()


def test_a_rule_without_a_result_on_every_task_is_left_out() -> None:
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
    before = overall(cells([r for r in records if r.rule != "fa"])).drop(columns=["rank"])
    after = overall(cells(records))
    after = after[after["rule"] != "fa"].reset_index(drop=True)
    pd.testing.assert_frame_equal(after[list(before)], before, check_exact=True)


def by_task(rule: str, **values: list[float]) -> dict[str, Cell]:
    records = [make(rule, seed, x, task=task) for task, row in values.items() for seed, x in enumerate(row)]
    return {cell.task: cell for cell in cells(records).values()}


def test_runs_by_hand() -> None:
    # chance 10, BP 90 on average: (50 - 10) / 80, (70 - 10) / 80.
    rule, bp = by_task("x", t=[50, 70])["t"], by_task("bp", t=[89, 91])["t"]
    assert list(norm_runs(rule, bp)) == [0.5, 0.75]


def test_mean_and_interquartile_mean_by_hand() -> None:
    runs = [np.array([0.0, 1.0]), np.array([0.5, 0.7, 0.9, 0.5, 0.5, 0.5])]
    assert task_mean(runs) == pytest.approx((0.5 + 0.6) / 2)
    # Sorted 0, .5, .5, .5, .5, .7, .9, 1: the middle four.
    assert interquartile_mean(runs) == pytest.approx((0.5 + 0.5 + 0.5 + 0.7) / 4)


def estimate(rule: dict[str, Cell], bp: dict[str, Cell], statistic: Any = task_mean, seed: int = 0) -> Any:
    return bootstrap(rule, bp, statistic, np.random.default_rng(seed))


def test_the_same_generator_gives_the_same_digits_in_any_order() -> None:
    rule, bp = by_task("x", a=[50, 52, 51, 57, 53.3]), by_task("bp", a=[90, 91, 92, 93, 90.5])
    rule, bp = rule | by_task("x", b=[70, 75, 71.1, 79, 70.7]), bp | by_task("bp", b=[95, 96, 97, 98, 94.1])
    first = estimate(rule, bp)
    assert first == estimate(dict(reversed(rule.items())), bp) != estimate(rule, bp, seed=1)
    assert first.low < first.value < first.high
    shuffled = {task: Cell(task, "x", tuple(reversed(cell.records))) for task, cell in rule.items()}
    assert estimate(shuffled, bp) == first


def test_bp_is_exactly_1_and_one_seed_has_no_interval() -> None:
    bp = by_task("bp", a=[90, 91, 95], b=[80, 70, 75])
    assert estimate(bp, bp) == pytest.approx((1, 1, 1))
    value, low, high = estimate(by_task("x", a=[50]), by_task("bp", a=[90]))
    assert value == 0.5 and math.isnan(low) and math.isnan(high)


@pytest.mark.parametrize(("tasks", "seeds", "floor"), [(2, 3, 0.87), (2, 5, 0.90), (5, 5, 0.92)])
@pytest.mark.parametrize("statistic", [task_mean, interquartile_mean])
def test_coverage(tasks: int, seeds: int, floor: float, statistic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """How often the interval covers the true value 0.5, if all runs are normally distributed around it."""
    monkeypatch.setattr("grape_bench.score.overall.RESAMPLES", 400)
    draw, hits, tries = np.random.default_rng(0), 0, 300
    for _ in range(tries):
        names = [f"t{i}" for i in range(tasks)]
        rule = by_task("x", **{name: list(50 + 2 * draw.normal(size=seeds)) for name in names})
        bp = by_task("bp", **{name: [90.0] * seeds for name in names})
        _, low, high = bootstrap(rule, bp, statistic, draw)
        hits += low <= 0.5 <= high
    print(tasks, seeds, statistic.__name__, hits / tries)
    assert floor - 0.04 < hits / tries < 0.985


def test_ranks_by_hand() -> None:
    values = {"a": {"bp": 90, "fa": 80, "dfa": 80}, "b": {"bp": 70, "fa": 75, "dfa": 60}}
    records = [make(rule, 0, x, task=task) for task, row in values.items() for rule, x in row.items()]
    found = ranks(cells([*records, failed("grape", 0, "oom", task="a")]))
    assert found.loc["bp"].to_dict() == {"a": 1, "b": 2}
    assert found.loc["fa"].to_dict() == {"a": 2.5, "b": 1}
    assert found.loc["grape"].isna().all()


def test_p_better_by_hand() -> None:
    # Task a: fa wins 1 of 2 seeds and ties 1 (0.75); task b: loses its only common seed. Mean 0.375.
    records = [make("fa", s, x, task="a") for s, x in enumerate((80, 70))]
    records += [make("dfa", s, x, task="a") for s, x in enumerate((79, 70, 99))]
    records += [make("fa", 0, 50, task="b"), make("dfa", 0, 60, task="b")]
    found = better(cells(records))
    assert found.loc["fa", "dfa"] == 0.375 and found.loc["dfa", "fa"] == 0.625
    assert math.isnan(found.loc["fa", "fa"])


def test_a_diverged_run_loses() -> None:
    records = [make("fa", 0, 95.0, status="diverged"), make("dfa", 0, 20.0)]
    assert better(cells(records)).loc["fa", "dfa"] == 0


def test_rules_that_share_no_seed_cannot_be_compared() -> None:
    assert math.isnan(better(cells([make("fa", 0), make("dfa", 1)])).loc["fa", "dfa"])


def test_a_profile_by_hand() -> None:
    # Credits of x: task a 0.5 and 1.0, task b 0.25 and 0.25.
    values = {"bp": ([90, 90], [80, 80]), "frozen": ([50, 50], [40, 40]), "x": ([70, 90], [50, 50])}
    records = [
        make(rule, seed, y, task=task)
        for rule, rows in values.items()
        for task, row in zip("ab", rows, strict=True)
        for seed, y in enumerate(row)
    ]
    found = performance_profile(cells([*records, failed("usf", 0, "oom", task="a")]))
    assert [found["x"][at] for at in (0, 0.25, 0.255, 0.5, 0.505, 1, 1.005)] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0]
    assert found["bp"][1.0] == 1 and found["frozen"][0.0] == 1 and found["frozen"][0.005] == 0
    assert "usf" not in found


def test_without_references_there_is_no_profile() -> None:
    assert performance_profile(cells([make("bp"), make("fa")])).empty
    assert performance_profile(cells([make("bp", s, 50.0 + s) for s in range(3)] + [make("frozen", 0, 60.0)])).empty
    # BP - frozen is -1, 20, 1: there is no resolved gap to take a share of.
    noise = [make("bp", s, x) for s, x in enumerate((70, 90, 80))] + [
        make("frozen", s, x) for s, x in enumerate((71, 70, 79))
    ]
    assert performance_profile(cells(noise)).empty


def test_a_profile_never_rises() -> None:
    from tests.score.records import suite

    found = performance_profile(cells(suite(3)))
    assert (found.diff().dropna() <= 0).all().all() and found["bp"][0.0] == pytest.approx(1)


def test_bp_is_no_scale_on_the_seeds_where_it_failed() -> None:
    """fa has only the seed on which BP is at chance, below the control. Its norm acc would be infinite."""
    other = [make(rule, s, 80.0 + s, task="digits-vit") for rule in ("bp", "fa", "frozen") for s in range(5)]
    records = [make("bp", s, x) for s, x in enumerate((90.0, 91.0, 92.0, 93.0, 10.0))] + [make("fa", 4, 50.0)]
    records += [make("frozen", s, x) for s, x in enumerate((60.0, 61.0, 60.0, 61.0, 60.0))]
    found = overall(cells([*records, *other]))
    assert "fa" not in set(found["rule"]) and found.attrs["left_out"] == ["fa"]
    assert "fa" not in performance_profile(cells(records))

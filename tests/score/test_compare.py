import math
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from grape_bench.errors import UserError
from grape_bench.record.record import Record
from grape_bench.report.comparison import render
from grape_bench.score.cell import cells
from grape_bench.score.compare import Comparison, Side, compare_rules, compare_sides
from grape_bench.score.overall import overall
from tests.score.records import changed, failed, make, with_parts


def rule(name: str, values: list[float], task: str = "a", **changes: Any) -> list[Record]:
    return [make(name, seed, value, task=task, **changes) for seed, value in enumerate(values)]


def one(first: list[Record], second: list[Record]) -> Comparison:
    (found,) = compare_sides(Side("x", first), Side("y", second))
    return found


def test_a_worked_example() -> None:
    # Differences 1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.302653, p = 0.0741799 (one test: Holm changes nothing).
    (task,) = one(rule("grape", [91, 92, 93]), rule("dfa", [90, 90, 90])).tasks
    assert task.difference == (2.0, pytest.approx(4.302653 / math.sqrt(3), rel=1e-6), 3)
    assert task.p == pytest.approx(0.0741799, rel=1e-5) and task.verdict == "not resolved"
    assert task.step == 1.0 and task.memory == 1.0  # both 1.2 times BP, 1,000 MiB


def test_over_tasks_in_norm_acc() -> None:
    # BP 90 and 50 with chance 10: 80 and 40 points are 1. Differences 8 and 4 points are 0.1 each.
    bp = rule("bp", [90, 90]) + rule("bp", [50, 50], "b")
    own = rule("x", [78, 78]) + rule("x", [34, 34], "b") + bp
    other = rule("y", [70, 70]) + rule("y", [30, 30], "b")
    (found,) = compare_sides(Side("1", own, "x"), Side("2", other))
    assert found.overall is not None and found.overall.unit == "norm acc"
    assert found.overall.difference == pytest.approx((0.1, 0.1, 0.1))
    assert found.overall.p == 2 / 16 and found.overall.pairs == 4


def test_bp_counts_over_the_seeds_that_both_rules_have() -> None:
    # BP's third seed has no partner. Without it BP has 80 points over chance, and 8 points are 0.1; with it 70 points.
    bp = rule("bp", [90, 90, 60]) + rule("bp", [50, 50], "b")
    records = [*bp, *rule("x", [78, 78]), *rule("x", [34, 34], "b"), *rule("y", [70, 70]), *rule("y", [30, 30], "b")]
    (found,) = compare_rules(records, ["x"], ["y"])
    assert found.overall is not None and found.overall.difference == pytest.approx((0.1, 0.1, 0.1))


def test_a_task_on_which_bp_only_guesses_is_left_out() -> None:
    # On c BP is 0.5 points above chance on average, with s = 1.32: not resolved. One point there would be 2 norm acc.
    bp = rule("bp", [90, 90, 90]) + rule("bp", [50, 50, 50], "b") + rule("bp", [9, 11.5, 11], "c")
    x = rule("x", [78, 78, 78]) + rule("x", [34, 34, 34], "b") + rule("x", [11, 11, 11], "c")
    y = rule("y", [70, 70, 70]) + rule("y", [30, 30, 30], "b") + rule("y", [12, 12, 12], "c")
    (found,) = compare_rules([*bp, *x, *y], ["x"], ["y"])
    assert found.overall is not None and found.overall.unit == "norm acc" and found.overall.left_out == ("c",)
    assert found.overall.difference == pytest.approx((0.1, 0.1, 0.1)) and found.overall.pairs == 6
    assert "(without c, where BP is not above chance)" in " ".join(printed(render([found])).split())
    (alone,) = compare_rules([r for r in (*bp, *x, *y) if r.task != "b"], ["x"], ["y"])
    assert alone.overall is not None and alone.overall.unit == "score", "only one task is left"
    assert alone.overall.difference.value == pytest.approx((8 - 1) / 2) and alone.overall.left_out == ()


def test_a_bp_that_guesses_on_the_common_seeds_is_no_scale() -> None:
    # BP is above chance, but its only seed that x and y have is at chance 10.
    bp = rule("bp", [10, 90, 90, 90, 90]) + rule("bp", [50, 50], "b")
    records = [*bp, *rule("x", [12]), *rule("x", [34], "b"), *rule("y", [10]), *rule("y", [30], "b")]
    (found,) = compare_rules(records, ["x"], ["y"])
    assert found.overall is not None and (found.overall.unit, found.overall.difference.value) == ("score", 3)


def test_it_agrees_with_the_table_over_all_tasks() -> None:
    # Seed 4 of BP, and the task on which BP guesses, have no part in either.
    bp = rule("bp", [90, 91, 92, 93, 30]) + rule("bp", [50, 51, 52, 53], "b") + rule("bp", [9, 11.5, 11], "c")
    own = rule("x", [91, 92, 90, 94]) + rule("x", [48, 52, 50, 53.5], "b") + rule("x", [40, 41, 42], "c")
    (found,) = compare_rules([*bp, *own], ["x"], ["bp"])
    row = overall(cells([*bp, *own])).set_index("rule").loc["x"]
    assert found.overall is not None and found.overall.p == row["p"]
    assert found.overall.difference.value == pytest.approx(row["norm_acc"] - 1)


def test_without_bp_it_is_in_points() -> None:
    found = one(rule("x", [78, 79]) + rule("x", [34, 33], "b"), rule("y", [70, 70]) + rule("y", [30, 30], "b"))
    assert found.overall is not None and found.overall.unit == "score"
    assert found.overall.difference.value == pytest.approx((8.5 + 3.5) / 2)


def test_holm_over_all_tasks_of_all_comparisons() -> None:
    records = rule("x", [91, 92, 93]) + rule("dfa", [90, 90, 90]) + rule("fa", [80, 80.5, 81])
    alone = compare_rules(records, ["x"], ["fa"])[0].tasks[0].p
    both = compare_rules(records, ["x"], ["dfa", "fa"])
    assert both[1].tasks[0].p == pytest.approx(2 * alone)


def test_a_rule_in_both_sets_is_compared_with_itself() -> None:
    first, second = (rule("fa", [80 + x, 81]) + rule("dfa", [70, 71 + x]) for x in (0, 1))
    found = compare_sides(Side("old", first), Side("new", second))
    assert [(c.first, c.second) for c in found] == [("fa (old)", "fa (new)"), ("dfa (old)", "dfa (new)")]


def test_a_users_rule_has_the_name_of_its_class_with_or_without_the_file() -> None:
    mine, dfa = Side("x", rule("my/rules.py:Mine", [1, 2]), "Mine"), Side("y", rule("dfa", [1, 3]))
    for name in ("Mine", "my/rules.py:Mine", "moved.py:Mine"):
        (found,) = compare_sides(replace(mine, rule=name), dfa)
        assert found.first == "my/rules.py:Mine"


def test_sets_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(UserError, match="share no rule"):
        compare_sides(Side("x", rule("fa", [1]) + rule("bp", [1])), Side("y", rule("dfa", [1])))
    with pytest.raises(UserError, match="unknown rule 'gr'"):
        compare_sides(Side("x", rule("grape", [1]), "gr"), Side("y", rule("dfa", [1])))
    with pytest.raises(UserError, match="unequal budgets"):
        compare_sides(Side("x", rule("fa", [1], epochs=3)), Side("y", rule("dfa", [1])))
    with pytest.raises(UserError, match="no task in common"):
        compare_sides(Side("x", rule("fa", [1])), Side("y", rule("fa", [1], "b")))


def test_costs_need_one_hardware_class() -> None:
    (task,) = one(rule("x", [80, 81]), rule("y", [80, 80], hardware="gpu-y")).tasks
    assert math.isnan(task.step) and math.isnan(task.memory) and task.difference.n == 2


def test_worse() -> None:
    good, bad = rule("x", [90, 91, 92.1]), rule("y", [80, 81, 82])
    assert one(bad, good).worse and not one(good, bad).worse
    assert not one(good, [changed(r, rule="y") for r in good]).worse
    broken = [good[0], good[1], with_parts(good[2], status="diverged")]
    # Divergence widens the interval, so the difference is not significant. It still counts as worse.
    assert one(broken, bad).tasks[0].verdict == "not resolved" and one(broken, bad).worse
    assert one([failed("x", s, "crashed", task="a") for s in range(3)], bad).worse


def test_it_says_how_many_more_seeds_would_settle_a_pair() -> None:
    # 1, 2, 3 points: s = 1. A t-test of 5 seeds finds 2 points of spread 1 with 80 % power (1.7 are enough).
    (found,) = compare_rules(rule("x", [91, 92, 93]) + rule("y", [90, 90, 90]), ["x"], ["y"])
    assert (found.tasks[0].verdict, found.tasks[0].needed) == ("not resolved", 5)
    assert "more seeds on both sides that would settle it (80 % power): a 2" in printed(render([found]))
    (equal,) = compare_rules(rule("x", [91, 89, 90]) + rule("y", [90, 90, 90]), ["x"], ["y"])
    assert "(80 % power): a more than 100" in " ".join(printed(render([equal])).split())
    (clear,) = compare_rules(rule("x", [95, 96, 97]) + rule("y", [90, 90.9, 92]), ["x"], ["y"])
    assert clear.tasks[0].needed is None and "more seeds" not in printed(render([clear]))


def test_the_verdicts_are_printed() -> None:
    records = [*rule("x", [70, 71, 72]), *rule("y", [90, 91, 92]), *rule("head-only", [80, 80, 80])]
    (found,) = compare_rules(records, ["x"], ["y"])
    assert found.tasks[0].judged[0] == "not above head-only" != found.tasks[0].judged[1]
    assert "A: not above head-only (a)" in printed(render([found]))


def printed(shown: RenderableType) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_two_rules_within_the_margin_are_tied_and_need_no_more_seeds() -> None:
    bp, frozen = [90.0, 91.0, 92.0, 93.0, 94.0], [60.0, 61.0, 62.0, 61.0, 60.0]
    fa = [x + d for x, d in zip(bp, (0.1, -0.1, 0.1, -0.1, 0.05), strict=True)]
    records = [*rule("bp", bp), *rule("frozen", frozen), *rule("fa", fa)]
    (found,) = compare_rules(records, ["fa"], ["bp"])
    assert (found.tasks[0].verdict, found.tasks[0].needed) == ("tied", None)
    assert "tied" in printed(render([found])) and not found.worse


def test_scores_of_two_metrics_have_no_mean() -> None:
    """The sum of points of accuracy and millimeters says nothing: in meters it is another sum."""
    records = [*rule("fa", [90.0, 91.0]), *rule("dfa", [89.0, 90.5])]
    rmse = {"metric": {"name": "rmse"}}
    records += [*rule("fa", [3.0, 3.1], "b", **rmse), *rule("dfa", [4.0, 4.2], "b", **rmse)]
    (found,) = compare_rules(records, ["fa"], ["dfa"])
    assert len(found.tasks) == 2 and found.overall is None

"""Pairs whose order flips between equal samples and equal cost, on curves with known answers."""

from __future__ import annotations

import pytest

from grape_bench.score.cell import cells
from grape_bench.score.equal_cost import equal_cost
from grape_bench.score.flips import Pair
from tests.score.curves import Runs, merged, runs

BP = runs("bp", 1.0, [50, 60, 70, 80])
TWICE = runs("x", 2.0, [60, 70, 80, 90], spread=0.1)


def pairs(*groups: Runs) -> dict[frozenset[str], Pair]:
    records, curves = merged(*groups)
    return {frozenset((p.first, p.second)): p for p in equal_cost(cells(records), curves, "seconds").pairs}


def only(*groups: Runs) -> Pair:
    (pair,) = pairs(*groups).values()
    return pair


def test_a_rule_that_leads_at_equal_samples_and_trails_at_equal_cost_flips() -> None:
    """x is twice as expensive. It ends at 90 and BP at 80. Where BP ends, x is at 70."""
    pair = only(BP, TWICE)
    assert (pair.first, pair.second, pair.budget) == ("x", "bp", 1.0)
    assert pair.samples.mean == pytest.approx(10) and pair.cost.mean == pytest.approx(-10)
    # Differences 9.9, 10, 10.1 on both sides: t = 10 / (0.1 / sqrt(3)) = 173, p = 0.00003.
    assert pair.samples.half_width == pytest.approx(0.2484, abs=1e-4)
    assert pair.p == pytest.approx(3.3e-5, rel=0.02) and pair.word == "resolved"


def test_the_order_may_hold() -> None:
    pair = only(BP, runs("x", 1.1, [60, 70, 80, 90], spread=0.1))
    assert (pair.first, pair.second) == ("x", "bp")
    assert pair.cost.mean > 0 and not pair.flips and pair.word == ""


def test_a_flip_is_resolved_only_if_both_differences_are() -> None:
    """At equal samples, differences of 10 ± 20 * (-1, 0, 1) have t = 10 / (20 / sqrt(3)) = 0.87 and p = 0.48."""
    records, curves = runs("x", 2.0, [60, 70, 80, 90])
    for seed, record in enumerate(records):
        curves[record.id].loc[3, "validation_accuracy"] += 20 * (seed - 1)
        curves[record.id].loc[:2, "validation_accuracy"] += 0.1 * (seed - 1)
    pair = only(BP, (records, curves))
    assert pair.flips and pair.p == pytest.approx(0.478, abs=1e-3) and pair.word == "not resolved"


def test_one_seed_resolves_nothing() -> None:
    pair = only(runs("bp", 1.0, [50, 80], seeds=1), runs("x", 2.0, [70, 90], seeds=1))
    assert pair.flips and pair.word == "not resolved"


def test_p_counts_all_pairs_of_the_task() -> None:
    alone = only(BP, TWICE).p
    third = runs("y", 1.0, [10, 11, 12, 13], spread=0.2)
    assert pairs(BP, TWICE, third)[frozenset(("x", "bp"))].p == pytest.approx(3 * alone)


def test_equal_cost_is_where_the_cheaper_rule_ends() -> None:
    cheap = runs("head-only", 0.5, [40, 50, 55, 58])
    pair = pairs(BP, TWICE, cheap)[frozenset(("x", "head-only"))]
    assert pair.budget == 0.5 and pair.cost.mean == pytest.approx(60 - 58)  # x has its first evaluation there


def test_a_pair_without_a_common_cost_has_no_order_there() -> None:
    """x is first evaluated at cost 1, where head-only has long ended."""
    pair = only(runs("head-only", 0.5, [40, 58]), runs("x", 2.0, [70, 90]))
    assert pair.cost.n == 0 and not pair.flips and pair.word == ""


def test_the_crossing_lies_between_two_evaluations() -> None:
    """x has 60, 70, 80, 90 at costs 0.5, 1, 1.5, 2. y has 50, 64, 76, 84 at costs 0.4, 0.8, 1.2, 1.6.

    So x - y is 66 - 64 = 2 at cost 0.8, and 74 - 76 = -2 at cost 1.2.
    """
    pair = pairs(BP, TWICE, runs("y", 1.6, [50, 64, 76, 84]))[frozenset(("x", "y"))]
    assert (pair.first, pair.second) == ("x", "y") and pair.flips
    assert len(pair.changes) == 1 and pair.changes[0] == pytest.approx(1.0)


def test_rules_of_equal_cost_and_score_have_no_order() -> None:
    assert pairs(BP, runs("x", 1.0, [50, 60, 70, 80])) == {}

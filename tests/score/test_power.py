"""What a number of seeds can detect, against worked values and simulation."""

import math

import numpy as np
import pytest

from grape_bench.score.inference import ONE_SIDED, half_width, paired_t
from grape_bench.score.power import (
    MOST,
    detection,
    equivalence,
    seeds_needed,
    seeds_text,
    smallest_difference,
)


def test_the_smallest_difference_in_standard_deviations() -> None:
    assert [round(smallest_difference(n), 1) for n in (3, 5, 10)] == [3.3, 1.7, 1.0]
    assert smallest_difference(3, 5.7) == pytest.approx(18.6, abs=0.05)  # points of a vision transformer on digits
    assert math.isnan(smallest_difference(1))


@pytest.mark.parametrize(("n", "difference"), [(3, 8.0), (5, 6.0), (10, 3.0)])
def test_the_power_of_a_t_test_is_that_of_simulated_tables(n: int, difference: float) -> None:
    draw = np.random.default_rng(n)
    tests = [paired_t(list(draw.normal(difference, 4.0, n))) < 0.05 for _ in range(2000)]
    assert detection(n, difference, 4.0) == pytest.approx(np.mean(tests), abs=0.035)


def test_the_power_of_a_tie_is_that_of_simulated_tables() -> None:
    draw, n, margin = np.random.default_rng(0), 5, 2.0
    samples = [list(draw.normal(0.3, 1.0, n)) for _ in range(2000)]
    inside = [abs(np.mean(sample)) + half_width(sample, ONE_SIDED) < margin for sample in samples]
    assert equivalence(n, 0.3, 1.0, margin) == pytest.approx(np.mean(inside), abs=0.035)


def test_a_difference_beyond_the_margin_is_no_tie() -> None:
    assert equivalence(50, 2.0, 1.0, 2.0) == 0 and equivalence(50, 0.0, 1.0, math.nan) == 0


def test_seeds_needed_by_definition() -> None:
    for difference, spread, margin in ((3.0, 2.0, math.nan), (0.1, 1.0, 1.5), (0.0, 1.0, 0.4)):
        n = seeds_needed(difference, spread, margin)
        settled = [
            max(detection(k, difference, spread), equivalence(k, difference, spread, margin)) >= 0.8 for k in (n - 1, n)
        ]
        assert settled == [False, True], (difference, n)


def test_more_than_a_hundred_seeds_are_not_counted() -> None:
    assert seeds_needed(0.0, 1.0, math.nan) == MOST + 1
    assert (seeds_text(7), seeds_text(MOST + 1)) == ("7", ">100")


def test_runs_without_any_spread_are_settled_by_two_seeds() -> None:
    assert seeds_needed(1.0, 0.0, math.nan) == seeds_needed(0.0, 0.0, 1.0) == 2


def test_more_looks_need_more_seeds_for_a_tie_too() -> None:
    once, four = (seeds_needed(0.0, 2.0, 3.0, looks=looks) for looks in (1, 4))
    assert once < four
    assert equivalence(four, 0.0, 2.0, 3.0, 0.05 / 4) >= 0.8 > equivalence(once, 0.0, 2.0, 3.0, 0.05 / 4)

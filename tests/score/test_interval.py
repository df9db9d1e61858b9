import math

import numpy as np
import pytest

from grape_bench.score.interval import interval, mean


def test_three_values_by_hand() -> None:
    # 1, 2, 3: s = 1, t(0.975, 2) = 4.302653, half-width 4.302653 / sqrt(3).
    assert interval([1.0, 2.0, 3.0]) == (2.0, pytest.approx(4.302653 / math.sqrt(3), rel=1e-6), 3)


def test_five_values_by_hand() -> None:
    # s^2 = (4 + 1 + 0 + 1 + 4) / 4 = 2.5, t(0.975, 4) = 2.776445.
    assert interval([90, 91, 92, 93, 94]).half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)


def test_one_value_has_no_interval() -> None:
    centre, half_width, n = interval([5.0])
    assert (centre, n) == (5.0, 1) and math.isnan(half_width)


def test_no_value_has_no_mean() -> None:
    assert math.isnan(interval([]).mean) and interval([]).n == 0


def test_order_does_not_change_the_last_digit() -> None:
    draw = np.random.default_rng(0)
    for _ in range(100):
        values = list(draw.normal(0, 1, 7) * 10.0 ** draw.integers(-8, 8, 7))
        shuffled = list(draw.permutation(values))
        assert interval(values) == interval(shuffled) and mean(values) == mean(shuffled)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_covers_the_mean_as_often_as_it_says(n: int) -> None:
    draw = np.random.default_rng(n)
    samples = [interval(draw.normal(7.0, 2.0, n)) for _ in range(4000)]
    covered = np.mean([abs(sample.mean - 7.0) <= sample.half_width for sample in samples])
    assert covered == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors

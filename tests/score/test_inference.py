import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from grape_bench.score.inference import ONE_SIDED, SEED, half_width, holm, interval, mean, paired_t, sign_flip


def test_three_values_by_hand() -> None:
    # 1, 2, 3: s = 1, t(0.975, 2) = 4.302653, half-width 4.302653 / sqrt(3).
    assert interval([1.0, 2.0, 3.0]) == (2.0, pytest.approx(4.302653 / math.sqrt(3), rel=1e-6), 3)


def test_five_values_by_hand() -> None:
    # s^2 = (4 + 1 + 0 + 1 + 4) / 4 = 2.5, t(0.975, 4) = 2.776445.
    assert interval([90, 91, 92, 93, 94]).half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)


def test_a_one_sided_bound_by_hand() -> None:
    # 1, 2, 3: t(0.95, 2) = 2.919986, so the 90 % interval is 2 ± 1.6859, and each side is wrong in 5 % of cases.
    assert half_width([1.0, 2.0, 3.0], ONE_SIDED) == pytest.approx(2.919986 / math.sqrt(3), rel=1e-6)


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
def test_the_interval_covers_the_mean_in_95_percent_of_samples(n: int) -> None:
    draw = np.random.default_rng(n)
    samples = [interval(draw.normal(7.0, 2.0, n)) for _ in range(4000)]
    covered = np.mean([abs(sample.mean - 7.0) <= sample.half_width for sample in samples])
    assert covered == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_three_pairs_by_hand() -> None:
    # 1, 2, 3: of the 8 sign patterns only +++ and --- reach |sum| = 6.
    assert sign_flip([[1.0, 2.0, 3.0]], SEED) == 2 / 8
    # 1, 2, -3: the sum is 0, and every pattern reaches it.
    assert sign_flip([[1.0, 2.0, -3.0]], SEED) == 1.0
    # 1, 1, -1: |sum| = 1, which all 8 reach; 3, 3, -1: 5 is reached by the 2 patterns with 7 and the 2 with 5.
    assert sign_flip([[1.0, 1.0, -1.0]], SEED) == 1.0
    assert sign_flip([[3.0, 3.0, -1.0]], SEED) == 4 / 8


def test_a_task_with_more_seeds_weighs_no_more() -> None:
    # Means 1 and -1 cancel, though four of the six differences are positive.
    assert sign_flip([[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0]], SEED) == 1.0


def test_against_every_pattern_counted_one_by_one() -> None:
    draw = np.random.default_rng(1)
    tasks = [list(draw.normal(0.5, 1, n)) for n in (3, 5, 4)]

    def statistic(signs: list[float]) -> float:
        flipped, turn = [], iter(signs)
        for task in tasks:
            flipped.append(sum(next(turn) * x for x in task) / len(task))
        return abs(sum(flipped) / len(tasks))

    observed = statistic([1.0] * 12)
    patterns = list(product((1.0, -1.0), repeat=12))
    expected = sum(statistic(list(signs)) >= observed - 1e-12 for signs in patterns) / len(patterns)
    assert sign_flip(tasks, SEED) == expected


def test_many_pairs_are_sampled_with_the_given_generator() -> None:
    tasks = [list(np.random.default_rng(task).normal(0.3, 1, 10)) for task in range(3)]
    first, again = (sign_flip(tasks, 7) for _ in range(2))
    other = sign_flip(tasks, 8)
    assert first == again != other
    assert first == pytest.approx(other, abs=0.02)
    assert sign_flip([[1.0] * 20], SEED) == pytest.approx(1 / 10_001, abs=3e-4)  # never 0


def test_no_pairs_give_no_p() -> None:
    assert math.isnan(sign_flip([[], []], SEED)) and math.isnan(paired_t([1.0]))


def test_paired_t_by_hand_and_by_scipy() -> None:
    # 1, 2, 3: t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom.
    assert paired_t([1.0, 2.0, 3.0]) == pytest.approx(0.0741799, rel=1e-5)
    draw = np.random.default_rng(2)
    for n in (2, 5, 30):
        values = draw.normal(0.4, 1, n)
        assert paired_t(list(values)) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert paired_t([0.0, 0.0]) == 1.0 and paired_t([2.0, 2.0]) == 0.0


def test_holm_by_hand() -> None:
    # 0.01 * 4, 0.02 * 3, then 0.03 * 2 which may not be below the one before it, and 0.9.
    found = holm({"d": 0.9, "a": 0.01, "c": 0.03, "b": 0.02, "none": math.nan})
    assert found == pytest.approx({"d": 0.9, "a": 0.04, "c": 0.06, "b": 0.06, "none": math.nan}, nan_ok=True)
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0} and holm({}) == {}


@pytest.mark.parametrize("test", [lambda x: sign_flip([list(x)], SEED), lambda x: paired_t(list(x))])
def test_a_true_null_hypothesis_is_rejected_in_5_percent_of_samples(test) -> None:
    draw = np.random.default_rng(3)
    rejected = np.mean([test(draw.normal(0, 1, 8)) <= 0.05 for _ in range(1500)])
    assert 0.03 < rejected < 0.068  # 0.05 within 3.2 standard errors

"""Statistics of a few seeds: intervals, paired tests, Holm's correction, and resampling."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
ONE_SIDED = 0.9  # the two-sided confidence at which each side is wrong in 5 % of cases
LEVEL = 0.05
FLIPS = 10_000
EXACT_UP_TO = 13  # pairs: 2^13 sign patterns are fewer than FLIPS
RESAMPLES = 10_000
BOUNDS = (2.5, 97.5)
SEED = 0  # of every resampling and permutation, so no number depends on the other rows of a table
Key = TypeVar("Key", bound=Hashable)
Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A mean, the half-width of its two-sided 95 % interval, and the number of values behind it."""

    mean: float
    half_width: float
    n: int


class Bootstrapped(NamedTuple):
    """A value and its 95 % percentile interval; the bounds are NaN if a task has only one seed."""

    value: float
    low: float
    high: float


def mean(values: Iterable[float]) -> float:
    """The mean of `values`, or NaN if there are none. The sum is exact, so the order changes no digit."""
    numbers = list(values)
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def interval(values: Iterable[float]) -> Interval:
    """Mean ± t(0.975, n - 1) · s / sqrt(n) of independent values. One value has a half-width of NaN.

    This is Student's t and not a percentile bootstrap: a bootstrap of five seeds covers 83 % instead of 95 %.
    """
    numbers = list(values)
    return Interval(mean(numbers), half_width(numbers), len(numbers))


def half_width(values: Sequence[float], confidence: float = CONFIDENCE) -> float:
    """Half-width of the two-sided Student-t interval of the mean; NaN below two values."""
    n = len(values)
    return t_quantile(n - 1, 0.5 + confidence / 2) * math.sqrt(variance(values) / n) if n > 1 else math.nan


def variance(values: Sequence[float]) -> float:
    """The sample variance, with n - 1; NaN below two values. The sum is exact, so the order changes no digit."""
    center = mean(values)
    return math.fsum((x - center) ** 2 for x in values) / (len(values) - 1) if len(values) > 1 else math.nan


def over_looks(p: float, looks: int) -> float:
    """`p` of a test that is made at up to `looks` numbers of seeds: Bonferroni's bound over the looks."""
    return min(1.0, p * looks) if not math.isnan(p) else p


def one_sided(looks: int) -> float:
    """The two-sided confidence at which each side is wrong in 5 % of cases, over all looks together."""
    return 1 - (1 - ONE_SIDED) / looks


def t_quantile(freedom: int, level: float) -> float:
    """The quantile of Student's t distribution."""
    # scipy.special, not scipy.stats: the latter takes most of a second to import.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, level))


def p_above(values: Sequence[float], limit: float) -> float:
    """One-sided p of Student's t-test that the mean of `values` lies above `limit`; NaN below two values."""
    n = len(values)
    if n < 2:
        return math.nan
    from scipy.special import stdtr

    distance, error = mean(values) - limit, math.sqrt(variance(values) / n)
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(n - 1, -distance / error))


def paired_t(differences: Sequence[float]) -> float:
    """Two-sided p of Student's paired t-test; NaN below two pairs, 1 if all differences are 0."""
    n = len(differences)
    if n < 2:
        return math.nan
    center = mean(differences)
    error = math.sqrt(variance(differences) / n)
    if error == 0:
        return 1.0 if center == 0 else 0.0
    from scipy.special import stdtr

    return float(2 * stdtr(n - 1, -abs(center) / error))


def sign_flip(differences: Sequence[Sequence[float]], seed: int) -> float:
    """Two-sided p of paired differences, one sequence of seeds per task; NaN if there are none.

    Under the null hypothesis each difference is equally likely to have the other sign. The statistic is the mean
    over tasks of the mean over seeds. Up to 13 pairs, all sign patterns are counted. Beyond that, 10,000 random ones
    are, drawn with `seed`, plus the observed one (Phipson and Smyth 2010). N pairs cannot give a p below 2^(1-N).
    """
    tasks = [np.asarray(task, float) for task in differences if len(task)]
    if not tasks:
        return math.nan
    weighted = np.concatenate([task / (len(task) * len(tasks)) for task in tasks])
    observed = abs(weighted.sum())
    if len(weighted) <= EXACT_UP_TO:
        signs = np.array(list(product((1.0, -1.0), repeat=len(weighted))))
        extra = 0
    else:
        signs = _random_signs(seed, len(weighted))
        extra = 1
    # Sums of the same numbers in another order differ in their last digits.
    tolerance = 1e-12 * np.abs(weighted).sum()
    count = int((np.abs(signs @ weighted) >= observed - tolerance).sum())
    return (count + extra) / (len(signs) + extra)


@lru_cache(maxsize=1)  # every pair of rules of a table needs the same ones
def _random_signs(seed: int, size: int) -> Floats:
    """Random signs, (FLIPS, size)."""
    return np.random.default_rng(seed).choice((1.0, -1.0), size=(FLIPS, size))


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Adjust p-values by Holm's method (1979), which keeps the family-wise error at LEVEL. NaN stays NaN."""
    known = sorted((key for key, p in p_values.items() if not math.isnan(p)), key=lambda key: p_values[key])
    adjusted = dict.fromkeys(p_values, math.nan)
    largest = 0.0
    for index, key in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - index) * p_values[key]))
        adjusted[key] = largest
    return adjusted


def resampled(values: Floats, drawn: npt.NDArray[np.int64]) -> Floats:
    """Bootstrap samples (times, n) of `values` (n,) at the indices `drawn` (times, n).

    Deviations from the mean are scaled by sqrt(n / (n - 1)). Otherwise the variance of a mean of n seeds comes out
    too small, by (n - 1) / n.
    """
    n, center = len(values), values.mean()
    scaled: Floats = center + np.sqrt(n / (n - 1)) * (values[drawn] - center)
    return scaled


def percentiles(values: Floats) -> tuple[float, float]:
    """The 2.5th and the 97.5th percentile."""
    low, high = np.percentile(values, BOUNDS)
    return float(low), float(high)


def bootstrap_mean(tasks: Sequence[Sequence[float]], generator: np.random.Generator) -> Bootstrapped:
    """The mean over tasks of the mean over seeds. Seeds are resampled within each task."""
    value = mean(mean(task) for task in tasks)
    if min(map(len, tasks)) < 2:
        return Bootstrapped(value, math.nan, math.nan)
    sums = []
    for values in map(np.asarray, tasks):
        n = len(values)
        sample = values[generator.integers(n, size=(RESAMPLES, n))].mean(-1)
        sums.append(values.mean() + np.sqrt(n / (n - 1)) * (sample - values.mean()))
    return Bootstrapped(value, *percentiles(np.mean(sums, axis=0)))

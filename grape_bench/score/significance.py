"""Whether a difference between two rules is resolved: paired tests, and Holm's correction for many of them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import TypeVar

import numpy as np

from grape_bench.score.interval import mean

LEVEL = 0.05
FLIPS = 10_000
EXACT_UP_TO = 13  # pairs: 2^13 sign patterns are fewer than FLIPS
Key = TypeVar("Key", bound=Hashable)


def sign_flip(differences: Sequence[Sequence[float]], generator: np.random.Generator) -> float:
    """Two-sided p of paired differences, a sequence of seeds for every task; NaN where there is none.

    Under the null hypothesis a pair's difference is as likely to have the other sign. The statistic is the mean
    over tasks of the mean over seeds. All sign patterns up to 13 pairs, else 10,000 random ones, the observed one
    counted among them (Phipson and Smyth 2010). N pairs cannot give less than 2^(1-N).
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
        signs = generator.choice((1.0, -1.0), size=(FLIPS, len(weighted)))
        extra = 1
    # Sums of the same numbers in another order differ in their last digits.
    tolerance = 1e-12 * np.abs(weighted).sum()
    count = int((np.abs(signs @ weighted) >= observed - tolerance).sum())
    return (count + extra) / (len(signs) + extra)


def paired_t(differences: Sequence[float]) -> float:
    """Two-sided p of Student's paired t-test; NaN below two pairs, 1 where all differences are 0."""
    n = len(differences)
    if n < 2:
        return math.nan
    centre = mean(differences)
    spread = math.sqrt(math.fsum((x - centre) ** 2 for x in differences) / (n - 1) / n)
    if spread == 0:
        return 1.0 if centre == 0 else 0.0
    from scipy.special import stdtr

    return float(2 * stdtr(n - 1, -abs(centre) / spread))


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Holm's (1979) adjusted p-values: each at most 0.05 with the family's error at most 0.05; NaN stays NaN."""
    known = sorted((key for key, p in p_values.items() if not math.isnan(p)), key=lambda key: p_values[key])
    adjusted = dict.fromkeys(p_values, math.nan)
    largest = 0.0
    for place, key in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - place) * p_values[key]))
        adjusted[key] = largest
    return adjusted

"""What a number of seeds can detect: the power of a paired t-test, and the seeds that a difference needs.

Every length is in the units of the score, and `spread` is the standard deviation of the paired difference.
"""

from __future__ import annotations

import math

from grape_bench.score.inference import LEVEL

POWER = 0.8
MOST = 100  # seeds; more are shown as ">100"


def detection(n: int, difference: float, spread: float, level: float = LEVEL) -> float:
    """The probability that a two-sided paired t-test of `n` seeds finds a true `difference`, with its sign."""
    if n < 2:
        return 0.0
    if spread == 0:
        return float(difference != 0)
    from scipy.special import nctdtr, stdtrit

    return float(1 - nctdtr(n - 1, abs(difference) * math.sqrt(n) / spread, stdtrit(n - 1, 1 - level / 2)))


def equivalence(n: int, difference: float, spread: float, margin: float, level: float = LEVEL) -> float:
    """The probability that two one-sided t-tests at `level` place a true `difference` within ± `margin`.

    This is the usual approximation: both statistics are noncentral t, taken one by one.
    """
    if n < 2 or not abs(difference) < margin:
        return 0.0
    if spread == 0:
        return 1.0
    from scipy.special import nctdtr, stdtrit

    error, critical = spread / math.sqrt(n), stdtrit(n - 1, 1 - level)
    below = nctdtr(n - 1, (difference - margin) / error, -critical)
    above = 1 - nctdtr(n - 1, (difference + margin) / error, critical)
    return max(0.0, float(below + above - 1))


def smallest_difference(n: int, spread: float = 1.0) -> float:
    """The smallest true difference that a paired t-test of `n` seeds (two-sided, 5 %) finds with 80 % power.

    In standard deviations of the paired difference it is 3.3, 1.7 and 1.0 for 3, 5 and 10 seeds. NaN below 2 seeds.
    """
    if n < 2:
        return math.nan
    from scipy.special import nctdtrinc, stdtrit

    noncentral = nctdtrinc(n - 1, 1 - POWER, stdtrit(n - 1, 1 - LEVEL / 2))
    return float(noncentral) / math.sqrt(n) * spread


def seeds_needed(difference: float, spread: float, margin: float = math.nan, *, tests: int = 1, looks: int = 1) -> int:
    """The smallest number of seeds that settles a true `difference` with 80 % power; MOST + 1 if MOST are too few.

    It is settled if the t-test finds it, or if the test for a tie places it within ± `margin` (NaN: never). Both are
    made at `looks` numbers of seeds, and the t-test is one of `tests` that Holm corrects.
    """
    for n in range(2, MOST + 1):
        found = max(
            detection(n, difference, spread, LEVEL / tests / looks),
            equivalence(n, difference, spread, margin, LEVEL / looks),
        )
        if found >= POWER:
            return n
    return MOST + 1


def seeds_text(n: int) -> str:
    """A number of seeds from `seeds_needed`: "7", or ">100"."""
    return str(n) if n <= MOST else f">{MOST}"

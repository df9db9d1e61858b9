"""Times measured in turns, so that what slows the machine slows everything that is compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from grape_bench.cost.clock import Clock

WARM_UP, LEAST = 2, 5  # rounds


@dataclass(frozen=True)
class Ratio:
    """Median over rounds of one time ÷ the reference's in the same round, with the quartiles."""

    median: float
    low: float
    high: float


def in_turns(
    work: Mapping[str, Callable[[], object]], device: torch.device, most: int, budget_s: float, least: int = LEAST
) -> dict[str, list[float]]:
    """Seconds of each piece of `work` in each round; a round does every piece once, in order.

    At least `least` rounds, at most `most`, and no new one after `budget_s` seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    started = time.perf_counter()
    for turn in range(WARM_UP + most):
        for name, do in work.items():
            clock = Clock(device)
            with clock.running():
                do()
            if turn >= WARM_UP:
                seconds[name].append(clock.seconds)
        if turn >= WARM_UP + least - 1 and time.perf_counter() - started > budget_s:
            break
    return seconds


def ratio(seconds: list[float], reference: list[float], period: int = 1) -> Ratio:
    """How `seconds` compare with `reference`, `period` rounds at a time; rounds that fill no period are left out."""
    own, other = sums(seconds, period), sums(reference, period)
    low, median, high = statistics.quantiles([a / b for a, b in zip(own, other, strict=True)], n=4)
    return Ratio(median, low, high)


def sums(seconds: list[float], period: int) -> list[float]:
    """Those of each `period` rounds together, for what happens only now and then."""
    return [sum(seconds[end - period : end]) for end in range(period, len(seconds) + 1, period)]

"""Time several things in turns, so that a busy machine slows all of them equally."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from grape_bench.cost.clock import Clock

WARM_UP, LEAST = 2, 5  # rounds
GPU_STEPS = 8


@dataclass(frozen=True)
class Ratio:
    """The median and the quartiles, over rounds, of a time ÷ the reference time in the same round."""

    median: float
    low: float
    high: float


def in_turns(
    work: Mapping[str, Callable[[], object]], device: torch.device, most: int, budget_s: float, least: int = LEAST
) -> dict[str, list[float]]:
    """Time every piece of `work`, round by round. Returns the seconds of each piece in each round (see `seconds_of`).

    A round runs every piece once, in order. There are at least `least` and at most `most` rounds, and no round starts
    after `budget_s` seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    started = time.perf_counter()
    for turn in range(WARM_UP + most):
        for name, do in work.items():
            taken = seconds_of(do, device)
            if turn >= WARM_UP:
                seconds[name].append(taken)
        if turn >= WARM_UP + least - 1 and time.perf_counter() - started > budget_s:
            break
    return seconds


def seconds_of(do: Callable[[], object], device: torch.device) -> float:
    """The duration of `do`: CPU time on one thread, else elapsed time until the device has finished.

    Other jobs on the machine interrupt a long step more often than a short one. So with elapsed times, expensive rules
    would look even more expensive on a busy machine: a ratio of 3 was once recorded as 10.
    """
    if device.type == "cpu" and torch.get_num_threads() == 1:
        start = time.process_time()
        do()
        return time.process_time() - start
    clock = Clock(device)
    with clock.running():
        do()
    return clock.seconds


def steps_per_round(period: int, device: torch.device) -> int:
    """The number of steps to time without a synchronization: whole periods, and on a GPU at least eight steps.

    Training synchronizes once per epoch, so the CPU runs ahead of the GPU. With one step per round it could not do so,
    and BP's own step time would depend on the period of the rule that it is compared with.
    """
    return period if device.type == "cpu" else period * -(-GPU_STEPS // period)


def ratio(seconds: list[float], reference: list[float], period: int = 1) -> Ratio:
    """Compare `seconds` with `reference` over whole periods of `period` rounds. Drops an incomplete last period."""
    # Example: seconds [1 1 4, 1 1 4, 1], reference [1 1 1, 1 1 1, 1], period 3 (every third step is expensive):
    #   sums [6, 6] and [3, 3] -> ratios [2, 2]. The seventh round is dropped.
    own, other = sums(seconds, period), sums(reference, period)
    low, median, high = statistics.quantiles([a / b for a, b in zip(own, other, strict=True)], n=4)
    return Ratio(median, low, high)


def sums(seconds: list[float], period: int) -> list[float]:
    """Sum the seconds of each `period` rounds, so that rare expensive steps count in full."""
    return [sum(seconds[end - period : end]) for end in range(period, len(seconds) + 1, period)]

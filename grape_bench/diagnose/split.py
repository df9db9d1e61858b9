"""Where the time of a training step goes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from grape_bench.diagnose.step import Step
from grape_bench.network.passes import Pass
from grape_bench.rules.base import LearningRule
from grape_bench.train.clock import Clock

WARM_UP, LEAST, MOST = 1, 3, 20  # rounds
BUDGET_S = 0.5

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class TimeSplit:
    """Seconds per step: for its batch, forward and loss, what the rule computes before that forward (tangents), the
    backward, and the optimizer. On a GPU the phases wait for each other here, so their sum may exceed a step.
    """

    data: float
    forward: float
    tangents: float
    credit: float
    update: float


def time_split(step: Step, batches: Batches, device: torch.device, budget_s: float = BUDGET_S) -> TimeSplit:
    """The medians over rounds, each as long as the rule's period; no new round after `budget_s` seconds."""
    started = time.perf_counter()
    rounds: list[dict[str, float]] = []
    while len(rounds) < WARM_UP + LEAST or (len(rounds) < WARM_UP + MOST and time.perf_counter() - started < budget_s):
        rounds.append(_round(step, batches, device))
    return TimeSplit(**{name: statistics.median(one[name] for one in rounds[WARM_UP:]) for name in rounds[0]})


def _round(step: Step, batches: Batches, device: torch.device) -> dict[str, float]:
    """Seconds per step of one period."""
    rule = step.network.rule
    period = rule.period if rule else 1
    clocks = {field.name: Clock(device) for field in fields(TimeSplit)}
    with _timed_opening(rule, clocks["tangents"]):
        for _ in range(period):
            with clocks["data"].running():
                inputs, labels = next(batches)
            with clocks["forward"].running():
                loss = step.forward(inputs, labels)
            with clocks["credit"].running():
                step.credit(loss)
            with clocks["update"].running():
                step.update()
    seconds = {name: clock.seconds / period for name, clock in clocks.items()}
    return {**seconds, "forward": seconds["forward"] - seconds["tangents"]}


@contextmanager
def _timed_opening(rule: LearningRule | None, clock: Clock) -> Iterator[None]:
    """Let `clock` run while `rule` opens a pass."""
    if rule is None:
        yield
        return
    open_pass = rule.open_pass

    def timed(*arguments: Any) -> Pass:
        with clock.running():
            return open_pass(*arguments)

    vars(rule)["open_pass"] = timed  # in front of the class's, for this object alone
    try:
        yield
    finally:
        del vars(rule)["open_pass"]

"""Learning-rate schedules: a factor for every group's learning rate, updated after each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from grape_bench.errors import UserError, unknown
from grape_bench.registry import Registry, is_file_reference

Factor = Callable[..., float]
"""`factor(done, steps, **schedule_args)`: the learning-rate factor after `done` of `steps` steps."""


def cosine(done: int, steps: int) -> float:
    """Decay to zero along half a cosine (Loshchilov and Hutter 2017, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * done / steps))


def linear(done: int, steps: int) -> float:
    """Decay linearly to zero."""
    return 1 - done / steps


def step(done: int, steps: int, milestones: Sequence[float] = (0.5, 0.75), gamma: float = 0.1) -> float:
    """Multiply the rate by `gamma` after each of the `milestones`, which are fractions of the steps."""
    return float(gamma ** sum(done >= share * steps for share in milestones))


def constant(done: int, steps: int) -> float:
    """Keep the full rate."""
    return 1.0


SCHEDULES: Registry[Factor] = Registry(
    "schedule", {name: f"{__name__}:{name}" for name in ("constant", "cosine", "linear", "step")}
)


def make_schedule(
    optimizer: torch.optim.Optimizer, name: str, steps: int, *, warmup: int = 0, args: dict[str, Any] | None = None
) -> LambdaLR | None:
    """Make the schedule `name`, or that of `file.py:name`, for a training of `steps` steps. None for a constant rate.

    During the first `warmup` steps the rate grows linearly: step k, counted from 1, has k/`warmup` of the rate. The
    schedule covers the steps after them. Raises UserError for wrong settings.
    """
    if name not in SCHEDULES and not is_file_reference(name):
        raise unknown("schedule", name, SCHEDULES, hint="its name, or path/to/file.py:my_schedule")
    if warmup >= steps:
        raise UserError(f"warmup = {warmup}, but the training has {steps} steps", where="schedule")
    if name == "constant" and not warmup and not args:
        return None
    factor = partial(SCHEDULES.get(name), **(args or {}))
    _check(name, factor, steps - warmup)

    def rate(done: int) -> float:
        if done < warmup:
            return (done + 1) / warmup
        return factor(min(done, steps) - warmup, steps - warmup)

    return LambdaLR(optimizer, rate)


def _check(name: str, factor: Factor, steps: int) -> None:
    """Raise UserError unless the schedule accepts its arguments and returns finite numbers."""
    try:
        values = [float(factor(done, steps)) for done in {0, steps // 2, steps}]
    except Exception as error:
        raise UserError(f"schedule {name!r} does not accept its settings: {error}", where="schedule_args") from error
    if not all(math.isfinite(value) and value >= 0 for value in values):
        raise UserError(f"schedule {name!r} gives {values}", where="schedule", allowed="finite numbers, at least 0")

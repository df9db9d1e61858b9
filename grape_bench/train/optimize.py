"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from grape_bench.errors import UserError, unknown

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
SCHEDULES = ("constant", "cosine")


def make_optimizer(parameters: Iterable[nn.Parameter], settings: dict[str, Any]) -> torch.optim.Optimizer:
    """The optimizer `settings["name"]` with the other settings as its arguments; raises UserError."""
    arguments = {name: value for name, value in settings.items() if name != "name"}
    name = settings.get("name", "adamw")
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    try:
        return OPTIMIZERS[name](parameters, **arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer {name!r} refuses its settings: {error}") from error


def make_schedule(optimizer: torch.optim.Optimizer, name: str, steps: int) -> LambdaLR | None:
    """`"cosine"` from the full rate to zero over `steps`; none for `"constant"`."""
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    if name == "constant":
        return None
    return LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps)))

"""Score a model on a whole split, using the sums of its objective."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from grape_bench.data.dataset import Split
from grape_bench.network.modes import evaluation
from grape_bench.objectives.objective import Objective
from grape_bench.train import data_parallel

LOSS = "loss"
_METHODS = ("argmax", "sum", "mean", "square", "sqrt", "float", "double", "item", "__float__", "__eq__", "__ne__")
_ORIGINAL = {name: getattr(Tensor, name) for name in _METHODS}  # from before the user's code is imported


@dataclass(frozen=True)
class Score:
    """The mean loss, the metric's value, and its standard error from sampling (see `Objective.error`)."""

    loss: float
    value: float
    error: float = math.nan


@torch.no_grad()
def evaluate(
    model: nn.Module, split: Split, objective: Objective, batch_size: int, *, with_error: bool = False
) -> Score:
    """Score `model` on all of `split`, divided among the processes. Runs in evaluation mode and restores each mode.

    The standard error may take seconds, so it is computed only on request. Raises RuntimeError if tensor methods have
    been replaced.
    """
    _check_methods()
    data_parallel.share_statistics(model)
    with evaluation(model):
        sums = _summed(_tallies(model, split, objective, batch_size), objective.kept)
    sums = data_parallel.gathered_sums(sums, objective.kept)
    error = float(objective.error(sums)) if with_error else math.nan
    return Score(float(sums.pop(LOSS) / sums["count"]), float(objective.value(sums)), error)


def _check_methods() -> None:
    """Raise RuntimeError if the user's code has replaced a tensor method that scores depend on."""
    for name, method in _ORIGINAL.items():
        if getattr(Tensor, name) is not method:
            raise RuntimeError(f"torch.Tensor.{name} has been replaced, so no score can be trusted")


def _tallies(model: nn.Module, split: Split, objective: Objective, batch_size: int) -> Iterator[dict[str, Tensor]]:
    """The sums of each batch, on the device, so that no batch waits for the previous one."""
    for (args, kwargs), target in split.batches(batch_size):
        output = objective.scored(model(*args, **kwargs), target).float()
        tally = objective.tally(output, target)
        loss = objective.loss(output, target).double() * tally["count"]
        yield {**tally, LOSS: torch.where(tally["count"] > 0, loss, 0.0)}  # the mean over no targets is NaN


def _summed(tallies: Iterator[dict[str, Tensor]], kept: tuple[str, ...]) -> dict[str, Tensor]:
    """The sums over batches in float64. The keys in `kept` are concatenated."""
    sums: dict[str, Tensor] = {}
    rows: dict[str, list[Tensor]] = {name: [] for name in kept}
    for tally in tallies:
        for name, value in tally.items():
            if name in rows:
                rows[name].append(value)
            else:
                sums[name] = sums[name] + value.double() if name in sums else value.double()
    return {**sums, **{name: torch.cat(parts) for name, parts in rows.items() if parts}}

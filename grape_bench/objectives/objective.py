"""The base class of objectives: the required model output, the loss, and the metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.network.trace import scored_output
from grape_bench.objectives.target import IGNORED, TargetData, TargetSplit

Sums = Mapping[str, Tensor]
"""The results of `tally`, summed over batches and processes, in float64 on the CPU."""


class Objective:
    """What a model is trained for. Register a subclass with `@gb.register_objective("name")`.

    `metric` is a name in score/metric.py, which defines its direction and unit. Rules that read classes are refused
    unless `targets` is "classes". `axis` is the output axis of the classes. With None, `attach` finds it. Axes between
    it and the samples are positions. The constructor takes `objective_args`.
    """

    metric: str
    targets: ClassVar[Literal["classes", "values"]]
    axis: ClassVar[int | None] = None
    shares: ClassVar[bool] = False
    """Whether `loss` also accepts class probabilities (N, outputs), for mixed samples."""

    kept: ClassVar[tuple[str, ...]] = ()
    """Keys of `tally` whose rows are concatenated instead of summed, for metrics such as ROC-AUC."""

    size = classes = 0
    """The number of outputs, and the number of classes in the data (0 for values). Set by `bind`."""

    def bind(self, data: TargetData) -> Self:
        """Store what `check` and `value` need from `data`, and return the objective."""
        self.size, self.classes = self.outputs(data), data.classes
        return self

    def outputs(self, data: TargetData) -> int:
        """The number of outputs that the model must have. Raises UserError for data that does not fit."""
        raise NotImplementedError

    def check_split(self, split: TargetSplit, name: str) -> None:
        """Raise UserError if the targets of the split called `name` cannot be learned or scored."""
        count, ends = 0, torch.tensor([math.inf, -math.inf], dtype=torch.float64)
        for target in split.targets():
            if target.is_floating_point():
                wrong, counted = ~target.isfinite(), torch.ones_like(target, dtype=torch.bool)
            else:
                counted = target != IGNORED
                wrong = counted & ((target < 0) | (target >= self.classes))
            if wrong.any():
                allowed = f"0 to {self.classes - 1}" if self.classes else "finite numbers"
                raise UserError(f"a target is {target[wrong][0].item()}", where=f"{name} split", allowed=allowed)
            count += int(counted.sum())
            if counted.any():
                low, high = (end.double().cpu() for end in target[counted].aminmax())
                ends = torch.stack([torch.minimum(ends[0], low), torch.maximum(ends[1], high)])
        if not count:
            raise UserError("no sample has a target", where=f"{name} split")
        if name == "train" and ends[0] == ends[1]:
            raise UserError(f"every target is {ends[0]:g}, so there is nothing to learn", where="train split")

    def check(self, output: Tensor, target: Tensor) -> None:
        """Raise UserError unless `output` fits `target`. Called at every step, so it only reads shapes."""
        axis = output.dim() - 1 if self.axis is None else self.axis % max(output.dim(), 1)
        shape = tuple(output.shape)
        rest = shape if self.targets == "values" else shape[:axis] + shape[axis + 1 :]
        if not shape or shape[axis] != self.size or rest != tuple(target.shape):
            raise self.misfit(output, (*target.shape[1:],))

    def misfit(self, output: Tensor, positions: tuple[int, ...] = ()) -> UserError:
        """The error for an output of the wrong shape. `positions` are the target's axes after the samples."""
        if self.targets == "values":
            wanted = f"a tensor of shape (N, {', '.join(map(str, positions or (self.size,)))})"
        else:
            sizes = [str(size) for size in positions]
            sizes.insert(len(sizes) if self.axis in (None, -1) else (self.axis or 1) - 1, str(self.size))
            wanted = f"logits of shape (N, {', '.join(sizes)})"
        return UserError(
            f"the model's output cannot be scored: a tensor of shape {tuple(output.shape)}", allowed=wanted
        )

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss over the targets that are not ignored."""
        raise NotImplementedError

    def tally(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The sums behind the metric. "count" is the number of targets that count, which also weights the loss."""
        raise NotImplementedError

    def value(self, sums: Sums) -> float | Tensor:
        """The metric, computed from the sums over a whole split."""
        raise NotImplementedError

    def error(self, sums: Sums) -> float | Tensor:
        """The standard error of the metric's score from sampling the split. NaN if unknown.

        The score is the metric on its additive scale, such as the log of a perplexity.
        """
        return math.nan

    def chance(self, data: TargetData) -> float:
        """The metric of the best predictor that sees no input, computed from the training targets."""
        raise NotImplementedError

    def scored(self, output: Any, target: Tensor) -> Tensor:
        """The checked tensor of a model's output that is scored. Raises UserError."""
        found = scored_output(output)
        if found is None:
            wanted = f"a tensor with {self.size} outputs"
            raise UserError("the model's output cannot be scored: no tensor", allowed=wanted)
        self.check(found, target)
        return found


def mean_error(total: Tensor, squares: Tensor, count: Tensor) -> Tensor:
    """The standard error of the mean of `count` values, from their sum and sum of squares."""
    mean = total / count
    return ((squares / count - mean.square()).clamp(min=0) / count).sqrt()


def mean_and_variance(data: TargetData) -> tuple[Tensor, Tensor]:
    """The mean and variance of the training targets (N, size), per number, in float64 on the CPU."""
    targets = torch.cat([target.double().cpu() for target in data.train.targets()])
    return targets.mean(0), targets.var(0, correction=0)

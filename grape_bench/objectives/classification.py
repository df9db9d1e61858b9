"""One class per sample."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.objectives.objective import Objective, Sums
from grape_bench.objectives.target import IGNORED, TargetData

Smoothing = Annotated[float, Field(ge=0, lt=1, description="a number from 0 to below 1")]

BALANCED = 1.25
"""Classes count as balanced if the largest has at most this many times the mean number of samples.

The accuracy of chance is then 1 / classes, as in the records of all image suites.
"""


class Classification(Objective):
    """Cross-entropy of logits (N, classes) with labels (N,) int64, scored by accuracy in percent.

    For mixed samples, the target can also be class probabilities, (N, classes) float32.
    """

    metric = "accuracy"
    targets = "classes"
    shares = True

    def __init__(self, label_smoothing: Smoothing = 0.0) -> None:
        self.label_smoothing = label_smoothing

    @override
    def outputs(self, data: TargetData) -> int:
        return class_count(data, type(self).__name__)

    @override
    def check(self, output: Tensor, target: Tensor) -> None:
        super().check(output, target.argmax(1) if target.is_floating_point() else target)

    @override
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target, ignore_index=IGNORED, label_smoothing=self.label_smoothing)

    @override
    def tally(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"count": (target != IGNORED).sum(), "correct": (output.argmax(1) == target).sum()}

    @override
    def value(self, sums: Sums) -> float | Tensor:
        return 100 * sums["correct"] / sums["count"]

    @override
    def error(self, sums: Sums) -> float | Tensor:
        share = sums["correct"] / sums["count"]
        return 100 * (share * (1 - share) / sums["count"]).sqrt()

    @override
    def chance(self, data: TargetData) -> float:
        counts = class_counts(data)
        if counts.max() * data.classes <= BALANCED * counts.sum():
            return 100 / data.classes
        return 100 * float(counts.max() / counts.sum())


def class_count(data: TargetData, objective: str) -> int:
    """The number of classes of `data`. Raises UserError if its targets are values or there is only one class."""
    if data.classes < 2:
        found = "only one class" if data.classes else "values"
        hint = "" if data.classes else 'objective = "regression"'
        raise UserError(f"the targets are {found}, but {objective} needs classes", where="objective", hint=hint)
    return data.classes


def class_counts(data: TargetData) -> Tensor:
    """The number of training targets of each class, (classes,) float64. Ignored targets do not count."""
    counts = torch.zeros(data.classes, dtype=torch.float64)
    for target in data.train.targets():
        counts += torch.bincount(target[target != IGNORED].cpu(), minlength=data.classes)
    return counts

"""Binary classification with one output."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.objectives.classification import class_counts
from grape_bench.objectives.objective import Objective, Sums
from grape_bench.objectives.ranking import check_labels, ranking, ranking_error
from grape_bench.objectives.target import TargetData, TargetSplit


class Binary(Objective):
    """Binary cross-entropy of one logit (N, 1) with labels (N,) 0 or 1.

    Scored by ROC-AUC, average precision or accuracy, all in percent. Class 1 is the positive class. With a single
    output, no class has a score that should rise, so rules that read classes do not apply.
    """

    targets: ClassVar[Literal["classes", "values"]] = "values"
    kept: ClassVar[tuple[str, ...]] = ("scores", "labels")

    def __init__(self, metric: Literal["roc_auc", "average_precision", "accuracy"] = "roc_auc") -> None:
        self.metric = metric

    @override
    def outputs(self, data: TargetData) -> int:
        if data.classes != 2:
            found = f"{data.classes} classes" if data.classes else "values"
            raise UserError(f"the targets are {found}, but Binary needs two classes", where="objective")
        return 1

    @override
    def check(self, output: Tensor, target: Tensor) -> None:
        if tuple(output.shape) != (len(target), 1):
            raise self.misfit(output)

    @override
    def check_split(self, split: TargetSplit, name: str) -> None:
        super().check_split(split, name)
        if self.metric != "accuracy":
            check_labels(split, name)

    @override
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output.squeeze(1), target.to(output.dtype))

    @override
    def tally(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        correct = (output.squeeze(1) > 0) == (target > 0)
        labels = target.unsqueeze(1)
        return {"count": (target >= 0).sum(), "correct": correct.sum(), "scores": output, "labels": labels}

    @override
    def value(self, sums: Sums) -> float | Tensor:
        if self.metric == "accuracy":
            return 100 * sums["correct"] / sums["count"]
        return ranking(self.metric, sums["labels"], sums["scores"])

    @override
    def error(self, sums: Sums) -> float | Tensor:
        if self.metric == "accuracy":
            share = sums["correct"] / sums["count"]
            return 100 * (share * (1 - share) / sums["count"]).sqrt()
        return ranking_error(self.metric, sums["labels"], sums["scores"])

    @override
    def chance(self, data: TargetData) -> float:
        negative, positive = (float(count) for count in class_counts(data))
        if self.metric == "roc_auc":
            return 50.0
        best = positive if self.metric == "average_precision" else max(negative, positive)
        return 100 * best / (negative + positive)

"""Several yes/no labels per sample."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.objectives.objective import Objective, Sums, mean_and_variance
from grape_bench.objectives.ranking import check_labels, ranking, ranking_error
from grape_bench.objectives.target import TargetData, TargetSplit


class MultiLabel(Objective):
    """Binary cross-entropy of logits (N, labels) with 0/1 targets (N, labels) float32.

    Scored by average precision or ROC-AUC in percent, averaged over labels.
    """

    targets: ClassVar[Literal["classes", "values"]] = "values"
    kept: ClassVar[tuple[str, ...]] = ("scores", "labels")

    def __init__(self, metric: Literal["average_precision", "roc_auc"] = "average_precision") -> None:
        self.metric = metric

    @override
    def outputs(self, data: TargetData) -> int:
        if data.classes:
            raise UserError("the targets are classes, but MultiLabel needs 0/1 values per label", where="objective")
        return data.target.size

    @override
    def check_split(self, split: TargetSplit, name: str) -> None:
        super().check_split(split, name)
        check_labels(split, name)

    @override
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(output, target)

    @override
    def tally(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"count": torch.tensor(target.numel(), device=output.device), "scores": output, "labels": target}

    @override
    def value(self, sums: Sums) -> float | Tensor:
        return ranking(self.metric, sums["labels"], sums["scores"])

    @override
    def error(self, sums: Sums) -> float | Tensor:
        return ranking_error(self.metric, sums["labels"], sums["scores"])

    @override
    def chance(self, data: TargetData) -> float:
        # A constant score has no ranking. Its average precision is the share of positive samples of each label.
        return 50.0 if self.metric == "roc_auc" else 100 * float(mean_and_variance(data)[0].mean())

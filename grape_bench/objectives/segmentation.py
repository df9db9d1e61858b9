"""One class per pixel."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from grape_bench.objectives.classification import Classification, class_counts
from grape_bench.objectives.objective import Sums
from grape_bench.objectives.ranking import RESAMPLES
from grape_bench.objectives.target import IGNORED, TargetData


class Segmentation(Classification):
    """Cross-entropy of logits (N, classes, H, W) with labels (N, H, W), scored by mean IoU in percent.

    IoU of a class = pixels that are both predicted and true ÷ pixels that are either, over the whole split. The mean is
    over the classes that occur in predictions or labels. Pixels labeled `IGNORED` do not count.
    """

    metric = "mean_iou"
    axis: ClassVar[int | None] = 1
    kept: ClassVar[tuple[str, ...]] = ("both", "either")

    @override
    def tally(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        scored = target != IGNORED
        true = self._pixels(target, scored)
        predicted = self._pixels(output.argmax(1), scored)
        both = self._pixels(target, scored & (output.argmax(1) == target))
        return {"count": scored.sum(), "both": both, "either": true + predicted - both}

    def _pixels(self, classes: Tensor, counted: Tensor) -> Tensor:
        """The number of counted pixels of each class in each picture, (N, classes)."""
        counts = torch.zeros(len(classes), self.size, device=classes.device)
        return counts.scatter_add_(1, (classes * counted).flatten(1), counted.flatten(1).float())

    @override
    def value(self, sums: Sums) -> float | Tensor:
        return _mean_iou(sums["both"], sums["either"])

    @override
    def error(self, sums: Sums) -> float | Tensor:
        generator = np.random.default_rng(0)
        pictures = len(sums["both"])
        drawn = [torch.from_numpy(generator.integers(pictures, size=pictures)) for _ in range(RESAMPLES)]
        return torch.stack([_mean_iou(sums["both"][rows], sums["either"][rows]) for rows in drawn]).std()

    @override
    def chance(self, data: TargetData) -> float:
        # Predicting one class c everywhere gives c an IoU of its share of the pixels, and all other classes 0.
        counts = class_counts(data)
        return 100 * float(counts.max() / counts.sum() / (counts > 0).sum())


def _mean_iou(both: Tensor, either: Tensor) -> Tensor:
    """The mean IoU in percent, from pixel counts by picture and class (N, classes)."""
    total = either.sum(0)
    present = total > 0
    return 100 * (both.sum(0)[present] / total[present]).mean()

"""Fit a picture as a function from coordinates to pixels."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.objectives.objective import Objective, Sums, mean_and_variance, mean_error
from grape_bench.objectives.target import TargetData

DECIBELS = 10 / math.log(10)  # a factor of e in decibels


class Picture(Objective):
    """Mean squared error of pixels (N, channels) between 0 and 1, scored by PSNR in decibels.

    PSNR = -10 log10(mean squared error) for a peak of 1. If the data are standardized, the data set provides their
    scale.
    """

    metric = "psnr"
    targets: ClassVar[Literal["classes", "values"]] = "values"

    @override
    def outputs(self, data: TargetData) -> int:
        if data.classes:
            raise UserError("the targets are classes, but Picture needs pixels", where="objective")
        if data.target.scale:
            raise UserError("the pixels are standardized, but Picture needs values from 0 to 1", where="objective")
        return data.target.size

    @override
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, target)

    @override
    def tally(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        errors = (output - target).double().square()
        count = torch.tensor(target.numel(), device=output.device)
        return {"count": count, "squares": errors.sum(), "quartics": errors.square().sum()}

    @override
    def value(self, sums: Sums) -> float | Tensor:
        return -DECIBELS * (sums["squares"] / sums["count"]).log()

    @override
    def error(self, sums: Sums) -> float | Tensor:
        mean = sums["squares"] / sums["count"]
        return DECIBELS * mean_error(sums["squares"], sums["quartics"], sums["count"]) / mean

    @override
    def chance(self, data: TargetData) -> float:
        _, variance = mean_and_variance(data)
        return -DECIBELS * math.log(variance.mean())

"""One or several numbers per sample."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import UserError
from grape_bench.objectives.objective import Objective, Sums, mean_and_variance, mean_error
from grape_bench.objectives.target import TargetData


class Regression(Objective):
    """Mean squared error of outputs (N, size) and targets (N, size), scored by RMSE in the data's units, or by R².

    All numbers of a target count equally: RMSE is over all of them, and R² uses their total variance.
    """

    targets: ClassVar[Literal["classes", "values"]] = "values"

    def __init__(self, metric: Literal["rmse", "r2"] = "rmse") -> None:
        self.metric = metric
        self.scale = torch.ones(())

    @override
    def bind(self, data: TargetData) -> Self:
        if data.target.scale:
            self.scale = torch.tensor(data.target.scale)
        return super().bind(data)

    @override
    def outputs(self, data: TargetData) -> int:
        if data.classes:
            raise UserError(
                f"the targets are {data.classes} classes, but Regression needs values",
                where="objective",
                hint='objective = "classification"',
            )
        return data.target.size

    @override
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(output, target)

    @override
    def tally(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        scale = self.scale.to(output.device)
        errors = ((output - target) * scale).double().square()
        values = (target * scale).double()
        return {
            "count": torch.tensor(target.numel(), device=output.device),
            "squares": errors.sum(),
            "quartics": errors.square().sum(),
            "rows": torch.tensor(len(target), device=output.device),
            "values": values.sum(0),
            "value_squares": values.square().sum(0),
        }

    @override
    def value(self, sums: Sums) -> float | Tensor:
        mean_square = sums["squares"] / sums["count"]
        return mean_square.sqrt() if self.metric == "rmse" else 1 - mean_square / _variance(sums)

    @override
    def error(self, sums: Sums) -> float | Tensor:
        # Delta method: d sqrt(m) = dm / (2 sqrt(m)), and d(1 - m / v) = dm / v, treating the variance v as fixed.
        of_square = mean_error(sums["squares"], sums["quartics"], sums["count"])
        if self.metric == "r2":
            return of_square / _variance(sums)
        root = (sums["squares"] / sums["count"]).sqrt()
        return of_square / (2 * root) if root > 0 else torch.zeros(())

    @override
    def chance(self, data: TargetData) -> float:
        if self.metric == "r2":
            return 0.0
        _, variance = mean_and_variance(data)
        return float((variance * self.scale.double().square()).mean().sqrt())


def _variance(sums: Sums) -> Tensor:
    """The variance of the targets, averaged over the numbers of a target."""
    mean = sums["values"] / sums["rows"]
    return (sums["value_squares"] / sums["rows"] - mean.square()).mean()

"""Fit a linear head on fixed features to convergence: logistic regression for classes, ridge regression for values.

Both are the same problem: minimize the objective's own loss over all training samples, plus a penalty on the weights.
With a classification loss this is logistic regression, and with a squared error it is ridge regression.

Every record holds a score of this fit. If a change gives other numbers, raise `numerics` of the rule `frozen` and of
the trainer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from grape_bench.data.rows import RowSplit, Samples
from grape_bench.objectives.names import metric_sign
from grape_bench.objectives.objective import Objective
from grape_bench.train.evaluate import evaluate

PENALTIES = tuple(10.0**power for power in range(0, -7, -1))
"""The penalties to try, strongest first. Each fit starts from the previous one."""

OPTIONS = {"maxiter": 200, "maxfun": 300, "maxcor": 10, "gtol": 1e-5, "ftol": 1e-7}
"""Settings of scipy's L-BFGS-B. It stops if all gradients are below `gtol`, or if a step gains less than `ftol`."""


@dataclass(frozen=True)
class Fit:
    """A fitted head: weight (n_out, F), bias (n_out,) or None, the mean training loss, and its penalty."""

    weight: Tensor
    bias: Tensor | None
    loss: float
    penalty: float

    def module(self) -> nn.Linear:
        """The head as a module."""
        rows, columns = self.weight.shape
        layer = nn.Linear(columns, rows, bias=self.bias is not None, device=self.weight.device)
        self.write(layer)
        return layer

    @torch.no_grad()
    def write(self, layer: nn.Linear) -> None:
        """Copy the fitted weights into `layer`."""
        layer.weight.copy_(self.weight)
        if self.bias is not None:
            layer.bias.copy_(self.bias)


def best_fit(train: Samples, validation: Samples, objective: Objective, *, bias: bool) -> Fit:
    """The fit with the best validation score among `PENALTIES`. On a tie, the one with the stronger penalty.

    The search stops at the first penalty that improves neither the score nor the loss. Weaker ones overfit more and
    take the longest. The samples hold features (N, F) and their targets. Raises ValueError if a feature is not finite.
    """
    sign = metric_sign(objective.metric)
    held_out = rows_of(validation)
    best, highest, lowest = None, float("-inf"), float("inf")
    for fit in fits(train.inputs[0], train.target, objective, bias=bias):
        found = evaluate(fit.module(), held_out, objective, len(held_out))
        if best is None or sign * found.value > highest:
            best, highest = fit, sign * found.value
        elif found.loss >= lowest:
            break
        lowest = min(lowest, found.loss)
    assert best is not None, "there is at least one penalty"
    return best


def rows_of(samples: Samples) -> RowSplit:
    """All `samples` as a split."""
    rows = len(samples.target)
    return RowSplit(samples=samples, index=torch.arange(rows, device=samples.target.device), scored=rows)


def fits(features: Tensor, target: Tensor, objective: Objective, *, bias: bool) -> Iterator[Fit]:
    """Minimize mean loss + penalty / 2 · ||V||² for each penalty. V (F, n_out) acts on standardized features.

    The features are standardized with their own mean (if there is a bias) and standard deviation. All arithmetic is in
    float64, on the features' device, and deterministic.
    """
    if not features.isfinite().all():
        raise ValueError("a feature of the last layer is not finite")
    scaled, mean, std = _standardized(features, centered=bias)
    solver = _Solver(scaled, target, objective, bias=bias)
    for penalty in PENALTIES:
        weights, offset, loss = solver.solve(penalty)
        weight = weights / std[:, None]
        yield Fit(weight.T, offset - mean @ weight if bias else None, loss, penalty)


def _standardized(features: Tensor, *, centered: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The features (N, F) in float64 with variance 1, and the mean and standard deviation that were removed."""
    scaled = features.double()
    mean = scaled.mean(0) if centered else scaled.new_zeros(scaled.shape[1])
    scaled = scaled - mean
    std = scaled.square().mean(0).sqrt()
    std = std.where(std > 0, 1)
    return scaled.div_(std), mean, std


class _Solver:
    """L-BFGS in coordinates in which the problem is nearly isotropic. The data stay on their device.

    With the covariance S = Q diag(s) Q^T, the Hessian of the penalized loss is about s / n_out + penalty along each
    column of Q. So V = Q diag(1 / sqrt(s / n_out + penalty)) A, and L-BFGS optimizes A (F, n_out) and the bias.
    """

    def __init__(self, features: Tensor, target: Tensor, objective: Objective, *, bias: bool) -> None:
        self.features, self.target, self.objective, self.biased = features, target, objective, bias
        values, self.axes = torch.linalg.eigh(features.T @ features / len(features))
        self.curvature = values.clamp(min=0) / objective.size
        self.scale = torch.ones_like(values)
        self.moved = features.new_zeros(features.shape[1] + bias, objective.size)  # A, and the bias as the last row

    def solve(self, penalty: float) -> tuple[Tensor, Tensor, float]:
        """V (F, n_out), the bias (n_out,) and the mean loss at the minimum for `penalty`. Starts at the last one."""
        from scipy.optimize import minimize  # imported here because only the end of a job needs it

        scale = (self.curvature + penalty).rsqrt()
        self.moved[: len(scale)] *= (self.scale / scale)[:, None]
        self.scale = scale

        def penalized(point: Any) -> tuple[float, Any]:
            weights, bias = self._map(self._at(point))
            scores = (self.features @ weights + bias).requires_grad_()
            with torch.enable_grad():
                loss = self.objective.loss(scores, self.target)
                (error,) = torch.autograd.grad(loss, scores)
            slope = self.scale[:, None] * (self.axes.T @ (self.features.T @ error + penalty * weights))
            gradient = torch.cat([slope, error.sum(0, keepdim=True)]) if self.biased else slope
            return (loss + penalty / 2 * weights.square().sum()).item(), gradient.flatten().cpu().numpy()

        start = self.moved.flatten().cpu().numpy()
        self.moved = self._at(minimize(penalized, start, jac=True, method="L-BFGS-B", options=OPTIONS).x)
        weights, bias = self._map(self.moved)
        return weights, bias, self.objective.loss(self.features @ weights + bias, self.target).item()

    def _at(self, point: Any) -> Tensor:
        """Convert a point of the solver to a tensor, (F + 1, n_out) or (F, n_out)."""
        return torch.from_numpy(point).to(self.features.device).view_as(self.moved).clone()

    def _map(self, moved: Tensor) -> tuple[Tensor, Tensor]:
        """V and the bias."""
        weights = self.axes @ (self.scale[:, None] * moved[: len(self.scale)])
        return weights, moved[-1] if self.biased else moved.new_zeros(moved.shape[1])

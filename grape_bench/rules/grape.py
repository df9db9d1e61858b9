"""GrAPE: direct feedback aligned to the true Jacobian by forward-mode derivatives (Caillon et al., ICLR 2026)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor

from grape_bench.network.passes import CutPass, Forward, Pass
from grape_bench.rules.allocate import FeedbackKind
from grape_bench.rules.direct import DirectFeedback
from grape_bench.rules.feedback import FEEDBACK
from grape_bench.rules.jacobian import Estimate, Estimator, Sampling, estimate_jacobians
from grape_bench.rules.pull_back import PullBack

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch

Columns = Literal["output", "unit"]
Cosine = Literal["columns", "frobenius"]
Update = Literal["cosine", "nlms"]
EPS = 1e-8


class GrAPE(DirectFeedback):
    """DFA whose B_l follows J^_l, the mean over the batch of (J_l p) p^T.

    Every `refresh`-th training forward, from `perturbations` draws of p by `estimator` on the first `fraction`
    of the batch: one gradient step of size `feedback_lr` on 1 - c_l, then each column is divided by its norm.
    c_l is the mean of the cosines between the columns of B_l and J^_l (`cosine="columns"`) or the one cosine of
    the matrices ("frobenius"). A column belongs to an `"output"` (n_l numbers) or to a hidden `"unit"` (n_out
    numbers): the paper leaves it open. `feedback_lr=None` is free of parameters: each column moves by
    1 - (1 - r)^refresh with r = sqrt(b / (n_l + b)), which grows with the share of J^ that b samples can tell
    from noise, and forgets at the same rate per training step however rare the refreshes are.

    `update="nlms"` is not the paper's: B_l, not normalised, takes a normalised least-mean-squares step on the
    directions and their effects (see `nlms_step`). Of low-rank feedback, B = U V, it is V that follows the Jacobian
    of the sketched output.
    """

    def __init__(
        self,
        perturbations: int = 1,
        refresh: int = 8,
        fraction: float = 1.0,
        estimator: Estimator = "split",
        feedback_lr: float | None = None,
        normalize: Columns = "output",
        cosine: Cosine = "columns",
        update: Update = "cosine",
        feedback: FeedbackKind = "auto",
        pull_back: PullBack = "none",
    ) -> None:
        if feedback in ("slice", "seeded"):
            raise ValueError(f"feedback = {feedback!r} cannot follow the Jacobians: blocks share it or nothing is kept")
        if perturbations < 1 or refresh < 1 or not 0 < fraction <= 1:
            raise ValueError("perturbations and refresh are at least 1, fraction is in (0, 1]")
        chosen = ((estimator, Estimator), (normalize, Columns), (cosine, Cosine), (update, Update))
        for value, allowed in chosen:
            if value not in get_args(allowed):
                raise ValueError(f"{value!r} is not one of {', '.join(get_args(allowed))}")
        self.perturbations, self.refresh, self.fraction, self.estimator = (
            perturbations,
            refresh,
            fraction,
            estimator,
        )
        self.feedback_lr, self.normalize, self.cosine, self.update = feedback_lr, normalize, cosine, update
        super().__init__(feedback, pull_back)
        self._forwards = 0

    def setup(self, network: Network) -> None:
        """Draw B_l as DFA does, with normalised columns."""
        super().setup(network)
        self._forwards = 0
        for block in network.blocks:
            block.store(FEEDBACK, normalized(block.load(FEEDBACK), self._axis))

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """A cut pass; on a training forward whose turn it is, after the feedback is refreshed."""
        forward = None
        if network.model.training:
            if self._forwards % self.refresh == 0:
                forward = self.align(network, batch)
            self._forwards += 1
        return CutPass(self._sent, forward)

    def align(self, network: Network, batch: Batch) -> Forward | None:
        """One step of every B_l towards its J^_l; the forward that showed it, if it was one of the whole batch."""
        sampling = Sampling(self.perturbations, self.fraction, self.estimator)
        layouts = {name: feedback.layout for name, feedback in self._maps.items()}
        estimates = estimate_jacobians(network, batch, layouts, sampling)
        for block in network.blocks:
            feedback = block.load(FEEDBACK)
            feedback.copy_(self._agreed(self._moved(feedback, estimates.get(block.name))))
        return estimates.forward

    def _moved(self, feedback: Tensor, estimate: Estimate | None) -> Tensor:
        if estimate is None:
            return feedback
        if self.update == "nlms":
            moved = nlms_step(feedback, estimate)
        else:
            step = self._step_size(feedback, estimate.samples)
            gradient = cosine_gradient(feedback, estimate.matrix.to(feedback.dtype), self._cosine_axis)
            moved = normalized(feedback - step * gradient, self._axis)
        # Nothing to follow: a head that starts at zero. An `if` would wait for the GPU.
        return torch.where(estimate.effects.any(), moved, feedback)

    def _agreed(self, feedback: Tensor) -> Tensor:
        """In data-parallel training the mean over the processes, each of which saw samples of its own."""
        if not (dist.is_available() and dist.is_initialized()):
            return feedback
        dist.all_reduce(feedback)
        mean = feedback / dist.get_world_size()
        return mean if self.update == "nlms" else normalized(mean, self._axis)

    @property
    def period(self) -> int:
        """One refresh."""
        return self.refresh

    @property
    def _axis(self) -> int:
        """The axis of B (n_out x n_l) along which a column's numbers lie."""
        return 1 if self.normalize == "output" else 0

    @property
    def _cosine_axis(self) -> int | None:
        return self._axis if self.cosine == "columns" else None

    def _step_size(self, feedback: Tensor, samples: int) -> float:
        if self.feedback_lr is not None:
            return self.feedback_lr
        columns = feedback.shape[1 - self._axis]
        mean = columns if self.cosine == "columns" else math.sqrt(columns)  # undoes the mean; the matrix's norm
        rate = math.sqrt(samples / (feedback.shape[1] + samples))
        return mean * (1 - (1 - rate) ** self.refresh)


def normalized(feedback: Tensor, axis: int) -> Tensor:
    """Each column, which lies along `axis`, divided by its norm."""
    return feedback / (feedback.norm(dim=axis, keepdim=True) + EPS)


def cosine_gradient(feedback: Tensor, estimate: Tensor, axis: int | None) -> Tensor:
    """The gradient with respect to B of 1 - c: c the mean over columns of cos(B, J^), or one cosine (axis None)."""
    dims = (0, 1) if axis is None else (axis,)
    columns = 1 if axis is None else feedback.shape[1 - axis]
    size = feedback.norm(dim=dims, keepdim=True) + EPS
    own = feedback / size
    target = estimate / (estimate.norm(dim=dims, keepdim=True) + EPS)
    cosine = (own * target).sum(dim=dims, keepdim=True)
    gradient: Tensor = (cosine * own - target) / size / columns
    return gradient


def nlms_step(feedback: Tensor, estimate: Estimate) -> Tensor:
    """B + (d - B p)^T p / (n_l + b + 1), summed over the b pairs: least mean squares with a normalised step.

    Its fixed point is the mean Jacobian itself, scale included (Widrow and Hoff 1960; Nagumo and Noda 1967).
    """
    directions = estimate.directions.to(feedback.dtype)
    residual = estimate.effects.to(feedback.dtype) - directions @ feedback.T
    return feedback + residual.T @ directions / (feedback.shape[1] + estimate.samples + 1)

"""GrAPE: direct feedback that follows the true Jacobian, by forward-mode derivatives (Caillon et al., ICLR 2026)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass, Forward, Pass
from grape_bench.rules.allocate import FeedbackKind
from grape_bench.rules.direct import DirectFeedback
from grape_bench.rules.feedback import FEEDBACK, all_finite
from grape_bench.rules.jacobian import (
    Estimator,
    JacobianEstimate,
    JacobianEstimates,
    Sampling,
    estimate_jacobians,
    first_samples,
)
from grape_bench.rules.pull_back import PullBack

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.trace import Batch

Columns = Literal["output", "unit"]
Cosine = Literal["columns", "frobenius"]
Update = Literal["cosine", "nlms", "average"]
EPS = 1e-8
STACKED = 2**16
"""Feedback matrices with at most this many entries are updated together, in one stack per shape."""
WATCH_RATE = 0.1  # of the running mean of the measured alignment


class GrAPE(DirectFeedback):
    """DFA whose B_l follows J^_l, the mean over the batch of (J_l p) p^T.

    Every `refresh`-th training forward refreshes the feedback. The default is 1, as in the paper, which refreshes at
    every mini-batch. The name `grape-lazy` means `refresh = 8`. A refresh draws p `perturbations` times as `estimator`
    says, on the first `fraction` of the batch. B_l then takes one gradient step of size `feedback_lr` on 1 - c_l, and
    each column is divided by its norm.

    c_l is the mean cosine between the columns of B_l and J^_l (`cosine="columns"`), or the cosine between the two
    matrices (`"frobenius"`). With `normalize="output"` a column belongs to an output and has n_l entries. With `"unit"`
    it belongs to a hidden unit and has n_out entries. The paper does not say which.

    `feedback_lr=None` needs no tuning. Each column moves by 1 - (1 - r)^refresh with r = sqrt(b / (n_l + b)). r grows
    with the number of samples b, because more samples make J^ less noisy. The exponent makes B_l forget at the same
    rate per training step for every `refresh`.

    Two other values of `update` are extensions that do not normalize B_l. `"nlms"` takes a normalized
    least-mean-squares step on the pairs (p, J_l p), see `nlms_step`. `"average"` is the exponential average B_l + r
    (J^_l - B_l), with `feedback_lr` for r. With `feedback_lr=1`, B_l equals J^_l.

    With low-rank feedback, B = U V, only V is updated. It follows the Jacobian of the compressed output.
    """

    # Example: block of 256 units, 10 outputs, B (10, 256), b = 64 samples of this block, refresh = 1:
    #   p (64, 256), d = J p (64, 10) -> J^ = d^T p / 64 (10, 256);  r = sqrt(64 / 320) = 0.45, 1 - (1 - r)^1 = 0.45
    #   B - step * gradient of (1 - c), then every row of B (a "column" of B^T, one per output) is divided by its norm

    def __init__(
        self,
        perturbations: int = 1,
        refresh: int = 1,
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
            raise ValueError(f"feedback = {feedback!r} cannot learn: its matrix is shared by blocks or not stored")
        if perturbations < 1 or refresh < 1 or not 0 < fraction <= 1:
            raise ValueError("perturbations and refresh must be at least 1, and fraction must be in (0, 1]")
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
        self._watches = False
        self._alignment: float | None = None

    def setup(self, network: Network) -> None:
        """Draw B_l like DFA, then normalize its columns. Raises DoesNotApplyError for a fraction of a graph."""
        if self.fraction < 1:
            first_samples(network.example, self.fraction, network.samples)
        super().setup(network)
        self._forwards = 0
        for block in network.blocks:
            block.store(FEEDBACK, normalized(block.load(FEEDBACK), self._axis))

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a cut pass. Every `refresh`-th training forward refreshes the feedback first."""
        forward = None
        if network.advances:
            if self._forwards % self.refresh == 0:
                forward = self.align(network, batch)
            self._forwards += 1
        return CutPass(self._sent, forward)

    def align(self, network: Network, batch: Batch) -> Forward | None:
        """Move every B_l one step toward its J^_l. Returns the forward that was used if it ran on the whole batch."""
        sampling = Sampling(self.perturbations, self.fraction, self.estimator)
        layouts = {name: feedback.layout for name, feedback in self._maps.items()}
        estimates = estimate_jacobians(network, batch, layouts, sampling)
        if self._watches and estimates:
            self._note(network, estimates)
        for blocks in self._groups(network, estimates):
            feedback = [block.load(FEEDBACK) for block in blocks]
            moved = self._moved(torch.stack(feedback), [estimates[block.name] for block in blocks])
            torch._foreach_copy_(feedback, list(moved))
        self._agree([block.load(FEEDBACK) for block in network.blocks])
        return estimates.forward

    def _groups(self, network: Network, estimates: JacobianEstimates) -> list[list[Block]]:
        """The blocks with an estimate, grouped so that feedback of one shape is updated at once, if it is small enough.

        On a GPU the update takes about twenty kernel launches, for one small matrix or for a stack of them.
        """
        groups: dict[object, list[Block]] = {}
        for block in network.blocks:
            if estimate := estimates.get(block.name):
                feedback = block.load(FEEDBACK)
                alone = self.update == "nlms" or feedback.numel() > STACKED
                key = block.name if alone else (feedback.shape, feedback.dtype, estimate.samples)
                groups.setdefault(key, []).append(block)
        return list(groups.values())

    def watch_alignment(self) -> None:
        """From now on, measure the alignment at every refresh. On a GPU this waits for the device."""
        self._watches = True

    @property
    def alignment(self) -> float | None:
        """A running estimate of the mean cos(B_l, J_l) over blocks, without a backward pass. None before a refresh.

        J^_l is noisy: its cosine with J_l is about r = sqrt(b / (n_l + b)). So cos(B_l, J^_l) is divided by r.
        """
        return self._alignment

    def _note(self, network: Network, estimates: JacobianEstimates) -> None:
        found = []
        for block in network.blocks:
            if estimate := estimates.get(block.name):
                feedback = block.load(FEEDBACK)
                cosine = torch.cosine_similarity(feedback.flatten(), estimate.matrix.to(feedback.dtype).flatten(), 0)
                found.append(cosine / _signal_share(feedback, estimate.samples))
        now = float(torch.stack(found).mean())
        if not math.isfinite(now):  # it would stay in the mean for good
            return
        old = now if self._alignment is None else self._alignment
        self._alignment = old + WATCH_RATE * (now - old)

    def _moved(self, feedback: Tensor, estimates: list[JacobianEstimate]) -> Tensor:
        """Return the updated B of blocks of the same shape. `feedback` is (blocks, n_out, n_l)."""
        samples = estimates[0].samples
        if self.update == "nlms":
            target, moved = estimates[0].effects[None], nlms_step(feedback[0], estimates[0])[None]
        else:
            target = torch.stack([estimate.matrix for estimate in estimates]).to(feedback.dtype)
            if self.update == "average":
                moved = torch.lerp(feedback, target, self._rate(feedback, samples))
            else:
                gradient = cosine_gradient(feedback, target, self._cosine_axis)
                moved = normalized(feedback - self._step_size(feedback, samples) * gradient, self._axis)
        # If all effects are zero (a head initialized to zero), B stays. An `if` would synchronize with the GPU.
        learns = target.any((-2, -1), keepdim=True) & all_finite(moved)
        return torch.where(learns, moved, feedback)

    def _agree(self, feedback: list[Tensor]) -> None:
        """Average the feedback over data-parallel processes, which saw different samples, in one message."""
        if not (dist.is_available() and dist.is_initialized()):
            return
        flat = torch.cat([one.flatten() for one in feedback])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for one, mean in zip(feedback, flat.split([one.numel() for one in feedback]), strict=True):
            mean = mean.view_as(one)
            one.copy_(normalized(mean, self._axis) if self.update == "cosine" else mean)

    @property
    def period(self) -> int:
        """The steps from one refresh to the next."""
        return self.refresh

    @property
    def _axis(self) -> int:
        """The axis of B (..., n_out, n_l) along which a column runs."""
        return -1 if self.normalize == "output" else -2

    @property
    def _cosine_axis(self) -> int | None:
        return self._axis if self.cosine == "columns" else None

    def _step_size(self, feedback: Tensor, samples: int) -> float:
        if self.feedback_lr is not None:
            return self.feedback_lr
        columns = feedback.shape[_other(self._axis)]
        mean = columns if self.cosine == "columns" else math.sqrt(columns)  # undoes the mean, or the matrix's norm
        return mean * self._rate(feedback, samples)

    def _rate(self, feedback: Tensor, samples: int) -> float:
        """How far B_l moves toward J^_l: 0 is not at all, 1 is all the way."""
        if self.feedback_lr is not None:
            return self.feedback_lr
        return 1 - (1 - _signal_share(feedback, samples)) ** self.refresh


def _signal_share(feedback: Tensor, samples: int) -> float:
    """The approximate cosine between J_l and its estimate J^_l from `samples` directions."""
    return math.sqrt(samples / (feedback.shape[-1] + samples))


def _other(axis: int) -> int:
    return -3 - axis


def normalized(feedback: Tensor, axis: int) -> Tensor:
    """Divide each column by its norm. Columns run along `axis`."""
    norms: Tensor = feedback.norm(dim=axis, keepdim=True)
    return feedback / (norms + EPS)


def cosine_gradient(feedback: Tensor, estimate: Tensor, axis: int | None) -> Tensor:
    """Return the gradient of 1 - c with respect to B (..., n_out, n_l). c is the mean of cos(B, J^) over columns.

    Columns run along `axis`, -1 or -2. If `axis` is None, c is the cosine between the whole matrices.
    """
    dims = (-2, -1) if axis is None else (axis,)
    columns = 1 if axis is None else feedback.shape[_other(axis)]
    size = feedback.norm(dim=dims, keepdim=True) + EPS
    own = feedback / size
    target = estimate / (estimate.norm(dim=dims, keepdim=True) + EPS)
    cosine = (own * target).sum(dim=dims, keepdim=True)
    gradient: Tensor = (cosine * own - target) / size / columns
    return gradient


def nlms_step(feedback: Tensor, estimate: JacobianEstimate) -> Tensor:
    """Return B + sum over the b pairs of (d - B p) p^T / (n_l + b + 1): least mean squares with a normalized step.

    Its fixed point is the mean Jacobian, including its scale (Widrow and Hoff 1960; Nagumo and Noda 1967).
    """
    directions = estimate.directions.to(feedback.dtype)
    residual = estimate.effects.to(feedback.dtype) - directions @ feedback.T
    return feedback + residual.T @ directions / (feedback.shape[1] + estimate.samples + 1)

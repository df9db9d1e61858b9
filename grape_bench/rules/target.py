"""Read the target from the error at the scores, for rules that learn from targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.network.block import Block
from grape_bench.network.passes import CutPass


@dataclass(frozen=True)
class Target:
    """`one_hot` (N, ..., n_out), zero at positions that the loss ignores, and `scale` (), the weight of a sample."""

    one_hot: Tensor
    scale: Tensor


def read_target(scores: Tensor, error: Tensor) -> Target:
    """Read the target from `error` = dL/d `scores`: the class whose score a gradient step would raise most.

    Under cross-entropy the error is s (softmax(scores) - one-hot target), where s is 1/N times the loss scale. It is
    negative only at the target. If the target's probability rounds to 1, no error is negative, and the target is the
    class with the highest score. s is the L1 norm of the error ÷ that of softmax - one-hot, over the whole batch, so
    that a perfectly fitted sample causes no division by zero. With label smoothing, the target is right until its
    probability reaches the smoothed value, and s shrinks on the way there. With class weights, s is their mean. With
    other losses, the target is the class with the most negative error.
    """
    # Example: N = 2, 3 classes, scores [[0 0 0], [0 0 0]], mean cross-entropy, targets 2 and 0:
    #   error = [[1/6 1/6 -1/3], [-1/3 1/6 1/6]] -> one_hot [[0 0 1], [1 0 0]]
    #   scale = sum |error| / sum |softmax - one_hot| = (4/3) / (8/3) = 1/2 = 1/N
    error, scores = error.float(), scores.float()
    lowest, index = error.min(-1, keepdim=True)
    told = lowest < 0
    if scores.shape[-1] > 1:
        told, index = (error != 0).any(-1, keepdim=True), torch.where(told, index, scores.argmax(-1, keepdim=True))
    one_hot = torch.zeros_like(error).scatter_(-1, index, told.to(error.dtype))
    gap = (F.softmax(scores, -1) if scores.shape[-1] > 1 else scores.sigmoid()) - one_hot
    gap = gap * (error != 0).any(-1, keepdim=True)  # only where the loss has a gradient
    scale = error.abs().sum() / gap.abs().sum().clamp_min(torch.finfo(error.dtype).tiny)
    return Target(one_hot, scale)


class TargetPass(CutPass):
    """A cut pass whose signals come from the target, which is read when the error arrives."""

    def __init__(self, signal: Callable[[Block, Target], Tensor]) -> None:
        super().__init__(self._told)
        self._signal = signal
        self._scores: Tensor | None = None
        self._target: Target | None = None

    def join(self, logits: Tensor) -> Tensor:
        """Keep the scores, which `read_target` needs."""
        self._scores = logits.detach()
        return super().join(logits)

    def receive(self, error: Tensor) -> None:
        """Read the target."""
        super().receive(error)
        assert self._scores is not None, "`join` was called in the forward"
        self._target = read_target(self._scores, error)

    def _told(self, block: Block, _: Tensor) -> Tensor:
        if self._target is None:
            raise UserError(
                "a rule that learns from targets cannot train block by block, because it reads them from the scores",
                hint="take an ordinary training step",
            )
        return self._signal(block, Target(block.part_of(self._target.one_hot), self._target.scale))

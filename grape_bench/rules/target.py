"""Read the target from an error at the scores, for rules that learn from targets."""

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
    """`one_hot` (N, ..., n_out), zero where the loss ignores a position, and `scale`, the weight of a sample."""

    one_hot: Tensor
    scale: Tensor


def read_target(scores: Tensor, error: Tensor) -> Target:
    """The target behind `error` = dL/d `scores`: the class whose score the error would raise most.

    Under cross-entropy the error is s (softmax(scores) - one-hot target), where s is 1/N times any scale of the loss.
    It is negative only at the target. s is its size ÷ the size of softmax - one-hot, over the whole batch, so that one
    perfectly fitted sample does no harm. With label smoothing the target is right until its probability reaches the
    smoothed value. With other losses it is the class whose score is most too low, in the scale of the loss.
    """
    error = error.float()
    lowest, index = error.min(-1, keepdim=True)
    told = (lowest < 0).to(error.dtype)
    one_hot = torch.zeros_like(error).scatter_(-1, index, told)
    scores = scores.float()
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
        """Keep the scores, from which the target is read."""
        self._scores = logits.detach()
        return super().join(logits)

    def receive(self, error: Tensor) -> None:
        """Read the target."""
        super().receive(error)
        assert self._scores is not None, "the forward has come by"
        self._target = read_target(self._scores, error)

    def _told(self, block: Block, _: Tensor) -> Tensor:
        if self._target is None:
            raise UserError(
                "a rule that learns from targets cannot train block by block: they are read from the scores",
                hint="an ordinary training step",
            )
        return self._signal(block, self._target)

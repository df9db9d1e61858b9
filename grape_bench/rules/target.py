"""The target that an error at the scores tells of, for rules that learn from targets and not from errors."""

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
    """`one_hot` (N, ..., n_out), zero where the loss told nothing, and `scale`, how much of the loss a sample is."""

    one_hot: Tensor
    scale: Tensor


def read_target(scores: Tensor, error: Tensor) -> Target:
    """What `error` = dL/d `scores` tells: the class whose score it would raise the most.

    Under cross-entropy the error is s (softmax(scores) - one-hot target), s being 1/N times any scale of the
    loss: it is negative at the target alone, and s is its size ÷ that of softmax - one-hot, here over the whole
    batch, so that one sample that fits perfectly does not matter. With label smoothing the target is right until
    its probability is the smoothed one; with other losses it is the class that is the most too low, in the scale
    of the loss.
    """
    error = error.float()
    lowest, index = error.min(-1, keepdim=True)
    told = (lowest < 0).to(error.dtype)
    one_hot = torch.zeros_like(error).scatter_(-1, index, told)
    scores = scores.float()
    gap = (F.softmax(scores, -1) if scores.shape[-1] > 1 else scores.sigmoid()) - one_hot
    gap = gap * (error != 0).any(-1, keepdim=True)  # where the loss looks at all
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
        """The scores are kept for the reading of the target."""
        self._scores = logits.detach()
        return super().join(logits)

    def receive(self, error: Tensor) -> None:
        """The target is read."""
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

"""Mono-Forward: each block learns with its own projection matrix (Gong, Li and Abdulla 2025, arXiv v1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.rules.local_loss import LocalLoss

if TYPE_CHECKING:
    from grape_bench.network.network import Network

PROJECTION = "projection"


class MonoForward(LocalLoss):
    """The goodness of block l is G_l = M_l h_l, one number per class. Its loss is the cross-entropy of G_l.

    M_l belongs to the rule and is trained by the same loss. The optimizer trains it along with the model's weights, at
    the learning rate `projection_lr` if it is set.
    """

    def __init__(self, projection_lr: float | None = None) -> None:
        self.projection_lr = projection_lr

    @override
    def setup(self, network: Network) -> None:
        """Give each block its M_l (classes, features)."""
        if len(network.output_shape) > 1:
            raise DoesNotApplyError("a block has one class per sample, and this network has one per position")
        settings: dict[str, Any] = {} if self.projection_lr is None else {"lr": self.projection_lr}
        for block in network.blocks:
            block.own(nn.Linear(block.size, network.output_shape[-1], bias=False), PROJECTION, **settings)

    @override
    def loss(self, block: Block, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of the goodness, summed over samples."""
        return -(target * F.log_softmax(block.owned(PROJECTION)(output.flatten(1)), -1)).sum()

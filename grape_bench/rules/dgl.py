"""Decoupled greedy learning: each block trains with an auxiliary network of its own (Belilovsky et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.axes import moved
from grape_bench.network.block import Block
from grape_bench.rules.local_loss import LocalLoss

if TYPE_CHECKING:
    from grape_bench.network.network import Network

SIDE = 2
"""The auxiliary network averages maps to this height and width, before and after its 1 x 1 convolutions."""


class DGL(LocalLoss):
    """The loss of a block is the cross-entropy of an auxiliary network on its output. Both are trained together.

    For maps, the auxiliary network is the paper's MLP-SR-aux: average to 2 x 2, three 1 x 1 convolutions with BatchNorm
    and ReLU, average again, then a three-layer MLP. Other blocks get only the MLP, on their channels averaged over
    positions. The auxiliary networks belong to the rule. `layers` sets the number of convolutions and of MLP layers.
    """

    def __init__(self, layers: int = 3) -> None:
        if layers < 1:
            raise ValueError("layers must be at least 1")
        self.layers = layers

    @override
    def setup(self, network: Network) -> None:
        """Give each block its auxiliary network."""
        if len(network.output_shape) > 1:
            raise DoesNotApplyError("a block has one class per sample, and this network has one per position")
        for block in network.blocks:
            channels = block.shape[block.channel_axis]
            make = self._of_maps if _is_map(block) else self._mlp
            block.own(make(channels, network.output_shape[-1]), "auxiliary")

    @override
    def loss(self, block: Block, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, summed over samples."""
        output = moved(output, block.channel_axis + 1, 1)
        if output.dim() > 2 and not _is_map(block):
            output = output.mean(tuple(range(2, output.dim())))
        return -(target * F.log_softmax(block.owned("auxiliary")(output), -1)).sum()

    def _of_maps(self, channels: int, classes: int) -> nn.Module:
        convolutions = [
            layer
            for _ in range(self.layers)
            for layer in (nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())
        ]
        average = nn.AdaptiveAvgPool2d(SIDE)
        return nn.Sequential(average, *convolutions, average, nn.Flatten(), self._mlp(channels * SIDE**2, classes))

    def _mlp(self, width: int, classes: int) -> nn.Module:
        hidden = [layer for _ in range(self.layers - 1) for layer in (nn.Linear(width, width), nn.ReLU())]
        return nn.Sequential(*hidden, nn.Linear(width, classes))


def _is_map(block: Block) -> bool:
    return len(block.shape) == 3

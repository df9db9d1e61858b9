"""Prediction and similarity matching as the loss of each block (Nøkland and Eidnes 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.axes import moved
from grape_bench.network.block import Block
from grape_bench.rules.local_loss import LocalLoss

if TYPE_CHECKING:
    from grape_bench.network.network import Network

LARGEST = 4096
"""The most features that a block's classifier reads (the authors' `dim_in_decoder`)."""


class PredSim(LocalLoss):
    """The loss of a block is (1 - `beta`) times a cross-entropy plus `beta` times a similarity loss, per sample.

    The cross-entropy is that of a linear classifier of the block's output, pooled to at most 4,096 features. The
    classifier is initialized to zero. The similarity loss is the mean of (S(a(h)) - S(y*))^2 over pairs of samples. S
    is the cosine of centered vectors. a is a linear map of the channels, or, for maps, a 3 x 3 convolution followed by
    the standard deviation over positions. The classifier and a belong to the rule. The optimizer trains them.
    """

    def __init__(self, beta: float = 0.99) -> None:
        if not 0 <= beta <= 1:
            raise ValueError("beta must be in [0, 1]")
        self.beta = beta

    @override
    def setup(self, network: Network) -> None:
        """Give each block its classifier and its map a."""
        if len(network.output_shape) > 1:
            raise DoesNotApplyError("a block has one class per sample, and this network has one per position")
        for block in network.blocks:
            features = pooled(torch.zeros(1, *block.shape), block.channel_axis + 1)
            classifier = nn.Linear(features.numel(), network.output_shape[-1])
            nn.init.zeros_(classifier.weight)
            width = block.shape[block.channel_axis]
            convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
            block.own(classifier, "classifier")
            block.own(convolution if _is_map(block.shape) else nn.Linear(width, width, bias=False), "similarity")

    @override
    def loss(self, block: Block, output: Tensor, target: Tensor) -> Tensor:
        """The two losses, times the number of samples."""
        channel = block.channel_axis + 1
        scores = block.owned("classifier")(pooled(output, channel))
        prediction = -(target * F.log_softmax(scores, -1)).sum()
        arranged = moved(output, channel, 1 if _is_map(block.shape) else output.dim() - 1)
        hidden = similarity(block.owned("similarity")(arranged))
        matching = F.mse_loss(hidden, similarity(target.to(hidden.dtype)))
        return (1 - self.beta) * prediction + self.beta * len(output) * matching


def pooled(output: Tensor, channel: int) -> Tensor:
    """The features that a classifier reads, (N, at most `LARGEST`). Larger outputs are averaged over positions.

    `channel` is the axis of the channels. Maps are averaged to a smaller height and width, others over all positions.
    """
    # Example: (N, 64, 16, 16) has 16,384 features. Halving height and width gives (N, 64, 8, 8) = 4,096.
    if output.dim() == 2 or output[0].numel() <= LARGEST:
        return output.flatten(1)
    output = moved(output, channel, 1)
    if not _is_map(output.shape[1:]):
        return output.mean(tuple(range(2, output.dim())))
    height, width = output.shape[2:]
    while output.shape[1] * height * width > LARGEST and height * width > 1:
        height, width = -(-height // 2), -(-width // 2)
    return F.adaptive_avg_pool2d(output, (height, width)).flatten(1)


def similarity(rows: Tensor) -> Tensor:
    """S (N, N): the cosine of each pair of centered samples. Maps are reduced to their deviation over positions."""
    if rows.dim() == 4 and rows[0, 0].numel() > 1:  # one position has no deviation
        rows = rows.flatten(2).std(2)
    rows = rows.flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / (1e-8 + rows.norm(dim=1, keepdim=True))
    return (rows @ rows.T).clamp(-1, 1)


def _is_map(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3

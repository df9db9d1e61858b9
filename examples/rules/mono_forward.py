"""Mono-Forward (Gong, Li and Abdulla 2025): each block trains a classifier of its own, and learns from it."""

import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb


class MonoForward(gb.LocalLoss):
    """The loss of a block is the cross-entropy of M_l h_l. M_l is trained too, by the same loss.

    M_l belongs to the rule. The optimizer trains it with the model's weights, at the rate `classifier_lr` if it is set.
    """

    def __init__(self, classifier_lr: float | None = None) -> None:
        self.classifier_lr = classifier_lr

    def setup(self, network: gb.Network) -> None:
        """Give each block its matrix M_l (classes, features)."""
        if len(network.output_shape) > 1:
            raise gb.DoesNotApplyError("a block has one class per sample, and this network has one per position")
        settings = {} if self.classifier_lr is None else {"lr": self.classifier_lr}
        for block in network.blocks:
            block.own(nn.Linear(block.size, network.output_shape[-1], bias=False), "classifier", **settings)

    def loss(self, block: gb.Block, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross-entropy, summed over samples. `target` (N, classes) is one-hot."""
        scores = block.owned("classifier")(output.flatten(1))
        return -(target * F.log_softmax(scores, -1)).sum()

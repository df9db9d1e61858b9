"""Forward gradients of local losses, with perturbed activations (Ren, Kornblith, Liao and Hinton 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.rules.local_loss import LocalLoss
from grape_bench.rules.predsim import pooled

if TYPE_CHECKING:
    from grape_bench.network.network import Network

CLASSIFIER = "classifier"


class FGLocal(LocalLoss):
    """dL/dh_l := (dL_l . p) p, where L_l is the cross-entropy of a linear classifier M of h_l, and p ~ N(0, I).

    The derivative of L_l along p is computed forward: (softmax(M h) - y*) . M p. The expected signal is the gradient of
    L_l. `perturbations` draws are averaged. M belongs to the rule and gets its own exact gradient. It reads h_l,
    averaged over positions to at most 4,096 features.
    """

    def __init__(self, perturbations: int = 1) -> None:
        if perturbations < 1:
            raise ValueError("perturbations must be at least 1")
        self.perturbations = perturbations

    @override
    def setup(self, network: Network) -> None:
        """Give each block its classifier."""
        if len(network.output_shape) > 1:
            raise DoesNotApplyError("a block has one class per sample, and this network has one per position")
        for block in network.blocks:
            features = pooled(torch.zeros(1, *block.shape, device="meta"), block.channel_axis + 1).shape[1]
            block.own(nn.Linear(features, network.output_shape[-1]), CLASSIFIER)

    @override
    def loss(self, block: Block, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of the classifier, summed over samples."""
        scores = block.owned(CLASSIFIER)(pooled(output, block.channel_axis + 1))
        return -(target * F.log_softmax(scores, -1)).sum()

    @override
    def gradient(self, block: Block, target: Tensor) -> Tensor:
        """The mean of (dL_l . p) p over the draws. It reads no transposed weight."""
        output = block.output.detach()
        self.loss(block, output, target).backward()
        classifier = block.owned(CLASSIFIER)
        assert isinstance(classifier, nn.Linear)
        with torch.no_grad():
            gap = classifier(pooled(output, block.channel_axis + 1)).softmax(-1) * target.sum(-1, keepdim=True) - target
            return torch.stack([self._along(block, classifier.weight, gap) for _ in range(self.perturbations)]).mean(0)

    def _along(self, block: Block, weight: Tensor, gap: Tensor) -> Tensor:
        output = block.output
        p = torch.randn(
            output.shape,
            generator=block.home.generator("perturbation", block.device),
            device=output.device,
            dtype=output.dtype,
        )
        derivative = (gap * F.linear(pooled(p, block.channel_axis + 1), weight.to(p.dtype))).sum(-1)
        return derivative.view(-1, *[1] * (p.dim() - 1)).to(p.dtype) * p

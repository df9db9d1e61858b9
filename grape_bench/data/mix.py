"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): batches of mixed images with mixed labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mix:
    """How the samples of a batch are mixed. `mixup` and `cutmix` are the α of Beta(α, α). 0 turns one off.

    With both, each batch is mixed by one of them, chosen at random.
    """

    mixup: float
    cutmix: float
    classes: int

    def __call__(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Mix images (N, C, H, W) with others of the batch. The labels (N,) become class probabilities (N, classes)."""
        from torchvision.transforms import v2

        kinds = {v2.MixUp: self.mixup, v2.CutMix: self.cutmix}
        mixes = [kind(alpha=alpha, num_classes=self.classes) for kind, alpha in kinds.items() if alpha]
        # torchvision draws from the global CPU generator, which dropout also uses.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            mixed, shares = v2.RandomChoice(mixes)(images, labels)
        return mixed, shares

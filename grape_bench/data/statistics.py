"""Mean and standard deviation of the training images, from exact sums."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from grape_bench.data.batches import Preparation

Sums = NDArray[np.int64]
"""(N, C, 2): per image and channel, the sum of its values and of their squares."""


def image_sums(images: NDArray[np.uint8]) -> Sums:
    """The sums of `images` (N, C, H, W), taken in pieces that stay in the processor's cache."""
    flat = images.reshape(*images.shape[:2], -1)
    sums = np.empty((*flat.shape[:2], 2), dtype=np.int64)
    step = max(1, 2**18 // max(1, flat[0].size))
    for start in range(0, len(flat), step):
        piece = flat[start : start + step].astype(np.uint32)
        sums[start : start + step, :, 0] = piece.sum(2, dtype=np.int64)
        sums[start : start + step, :, 1] = (piece * piece).sum(2, dtype=np.int64)
    return sums


def preparation(sums: Sums, pixels: int, augment: str, device: torch.device) -> Preparation:
    """Normalisation per channel for images of `pixels` values each, given the sums of the training images."""
    total, squares = sums.sum(0).T.astype(np.float64) / (len(sums) * pixels)
    spread = np.sqrt(np.maximum(squares - total**2, 0.0))
    spread[spread == 0.0] = 1.0  # a channel that never changes stays zero
    mean, std = (torch.tensor(x, dtype=torch.float32, device=device)[:, None, None] for x in (total, spread))
    return Preparation(mean, std, augment)

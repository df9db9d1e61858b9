"""Random flips and crops of whole batches, on the device where they lie."""

from __future__ import annotations

import torch
from torch import Tensor

PADDING = 4


def draw(samples: int, generator: torch.Generator) -> Tensor:
    """The randomness of one pass: (3, samples) int64, rows: offset down, offset right (0..8), flip (0, 1)."""
    highs = (2 * PADDING + 1, 2 * PADDING + 1, 2)
    device = generator.device
    return torch.stack([torch.randint(high, (samples,), generator=generator, device=device) for high in highs])


def flip_crop(images: Tensor, draws: Tensor) -> Tensor:
    """Each image padded by 4 reflected pixels, cropped to its size at its offset, and mirrored where told.

    `images` (N, C, H, W), any dtype, H and W above 4; `draws` (3, N) from `draw`, on the same device.
    Source: He et al. 2016, section 4.2 (there with zeros as padding).
    """
    height, width = images.shape[2:]
    down, right, flip = draws
    rows = _window(down, height)
    columns = _window(right, width)
    columns = torch.where(flip[:, None] == 1, columns.flip(1), columns)
    source = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    return images.flatten(2).gather(2, source[:, None].expand(-1, images.shape[1], -1)).view(images.shape)


def _window(offset: Tensor, size: int) -> Tensor:
    """(N,) offsets into the padded axis -> (N, size) positions on the axis itself."""
    position = (offset[:, None] - PADDING + torch.arange(size, device=offset.device)).abs()
    return torch.where(position < size, position, 2 * (size - 1) - position)

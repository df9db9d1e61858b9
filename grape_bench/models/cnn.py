"""A small plain convolutional network for 8x8 to 64x64 images."""

from __future__ import annotations

from torch import Tensor, nn

from grape_bench.models.arguments import Widths, require_image

SMALLEST_MAP = 2


class ConvBlock(nn.Sequential):
    """Conv3x3, BatchNorm, ReLU and, if `pool`, 2x2 max pooling: (N, c_in, H, W) -> (N, c_out, H', W')."""

    def __init__(self, c_in: int, c_out: int, pool: bool) -> None:
        layers = [nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
        super().__init__(*layers, *([nn.MaxPool2d(2)] if pool else []))


class CNN(nn.Module):
    """Convolution blocks as siblings in `blocks`, a global average pool and a linear `head`.

    (N, C, H, W) -> (N, classes). Every block except the last ends with 2x2 pooling, as long as the map stays at least
    2x2. The pooling is part of the block, which makes its feedback four times smaller. Raises UserError for samples
    that are not images.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        channels: Widths = (32, 64, 128, 128),
    ) -> None:
        super().__init__()
        c_in, height, width = require_image("cnn", shape)
        side, blocks = min(height, width), []
        for index, c_out in enumerate(channels):
            pool = index < len(channels) - 1 and side // 2 >= SMALLEST_MAP
            blocks.append(ConvBlock(c_in, c_out, pool))
            c_in, side = c_out, side // 2 if pool else side
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(c_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to logits (N, classes)."""
        logits: Tensor = self.head(self.blocks(x).mean((2, 3)))
        return logits

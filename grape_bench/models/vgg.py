"""VGG-16 for small images, with any width."""

from __future__ import annotations

from torch import Tensor, nn

from grape_bench.models.arguments import Count, require_image
from grape_bench.models.cnn import ConvBlock

GROUPS = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""For each group: channels as a multiple of the width, and the number of convolutions. 2x2 pooling ends a group."""


class VGG16(nn.Module):
    """Thirteen convolution blocks as siblings in `blocks`, a global average pool and a linear `head`.

    (N, C, H, W) -> (N, classes). Source: Simonyan and Zisserman 2015, configuration D, in the usual form for CIFAR:
    with BatchNorm, one linear layer instead of three, and a `width` of 64. Pooling is skipped once the map has one
    pixel. Raises UserError for samples that are not images.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, width: Count = 64) -> None:
        super().__init__()
        c_in, height, map_width = require_image("vgg16", shape)
        side, blocks = min(height, map_width), []
        for multiple, convolutions in GROUPS:
            for number in range(1, convolutions + 1):
                pool = number == convolutions and side > 1
                blocks.append(ConvBlock(c_in, multiple * width, pool))
                c_in, side = multiple * width, side // 2 if pool else side
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(c_in, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to logits (N, classes)."""
        logits: Tensor = self.head(self.blocks(x).mean((2, 3)))
        return logits

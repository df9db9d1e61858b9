"""The residual networks of He et al. for 32x32 images.

Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2: 6n + 2 layers,
three stages of n blocks with 16, 32 and 64 channels, global average pool, He initialization. The shortcuts are option
A: take every second position, fill missing channels with zeros, no parameters.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.models.arguments import require_image

STAGES = (16, 32, 64)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm and an option-A shortcut."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.stride, self.missing = (1 if c_in == c_out else 2), c_out - c_in
        self.conv1 = nn.Conv2d(c_in, c_out, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, c_in, H, W) to (N, c_out, H/s, W/s)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.missing:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    """`stem`, three Sequential `stages` of BasicBlocks and a linear `head`: (N, C, H, W) -> (N, classes)."""

    def __init__(self, shape: tuple[int, ...], classes: int, blocks_per_stage: int, width: int = STAGES[0]) -> None:
        super().__init__()
        c_in = require_image("resnet", shape)[0]
        stages = [width * channels // STAGES[0] for channels in STAGES]
        self.stem = nn.Sequential(nn.Conv2d(c_in, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        widths = [width, *(channels for channels in stages for _ in range(blocks_per_stage))]
        blocks = [BasicBlock(a, b) for a, b in pairwise(widths)]
        starts = range(0, len(blocks), blocks_per_stage)
        self.stages = nn.Sequential(*(nn.Sequential(*blocks[i : i + blocks_per_stage]) for i in starts))
        self.head = nn.Linear(stages[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to logits (N, classes)."""
        logits: Tensor = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return logits


def resnet20(shape: tuple[int, ...], classes: int) -> CifarResNet:
    """ResNet-20 for CIFAR: three blocks per stage, 0.27 M parameters."""
    return CifarResNet(shape, classes, blocks_per_stage=3)


def resnet56(shape: tuple[int, ...], classes: int) -> CifarResNet:
    """ResNet-56 for CIFAR: nine blocks per stage, 0.85 M parameters."""
    return CifarResNet(shape, classes, blocks_per_stage=9)


def resnet(shape: tuple[int, ...], classes: int, blocks: int = 9, width: int = 16) -> CifarResNet:
    """A CIFAR ResNet of any size: three stages of `blocks` / 3 blocks with `width`, 2 `width` and 4 `width` channels.

    Raises UserError if `blocks` is not a positive multiple of three, or `width` is not positive.
    """
    if blocks < 1 or blocks % len(STAGES) or width < 1:
        raise UserError(
            f"a resnet of {blocks} blocks and width {width} does not exist",
            where="model_args",
            allowed="blocks = 3, 6, 9, ... and a width of at least 1",
        )
    return CifarResNet(shape, classes, blocks // len(STAGES), width)

"""LeNet-5."""

from __future__ import annotations

from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.models.arguments import require_image

SMALLEST_IMAGE = 12


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al. 1998) in its modern form, with ReLU and max pooling.

    `features` has two 5x5 convolutions (6 and 16 channels), `hidden` has layers of 120 and 84 units, and `head` is
    linear. The first convolution pads images below 32x32 by 2, as the paper padded MNIST.
    Raises UserError for images below 12x12.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        c_in, height, width = require_image("lenet", shape)
        if min(height, width) < SMALLEST_IMAGE:
            raise UserError(
                f"images of {height}x{width} are too small",
                where="lenet",
                allowed=f"{SMALLEST_IMAGE}x{SMALLEST_IMAGE} or more",
                hint="dataset_args = { resize = 28 }",
            )
        padding = 2 if min(height, width) < 32 else 0
        sides = [((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width)]
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(c_in, 6, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.hidden = nn.Sequential(
            nn.Sequential(nn.Linear(16 * sides[0] * sides[1], 120), nn.ReLU()),
            nn.Sequential(nn.Linear(120, 84), nn.ReLU()),
        )
        self.head = nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to logits (N, classes)."""
        logits: Tensor = self.head(self.hidden(self.features(x).flatten(1)))
        return logits

"""Forward-forward: each block learns to tell samples with a right label from those with a wrong one (Hinton 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError, UserError
from grape_bench.network.block import Block
from grape_bench.network.passes import LocalPass
from grape_bench.network.phases import FirstPhase
from grape_bench.rules.two_phase import TwoPhase

if TYPE_CHECKING:
    from grape_bench.network.network import Network


class ForwardForward(TwoPhase):
    """Block l minimizes softplus(theta - g) on positive samples and softplus(g - theta) on negative ones.

    The goodness g is the mean square of h_l over units. A positive sample has its label in its first inputs, as a
    one-hot vector times the largest input of the batch. A negative sample has a random wrong label there. Both run in
    separate forwards, in which the next block sees h_l divided by its root mean square. The head learns from the
    training forward, whose input has no label. `threshold` is theta.
    """

    targets: Literal["any", "classes"] = "classes"

    def __init__(self, threshold: float = 2.0) -> None:
        self.threshold = threshold

    @override
    def setup(self, network: Network) -> None:
        """Check that the input has room for the label."""
        x: Any = next(iter(network.example[0]), None)
        classes = network.output_shape[-1]
        numbers = isinstance(x, Tensor) and x.is_floating_point()
        if not numbers or len(network.output_shape) > 1 or x[0].numel() < classes:
            raise DoesNotApplyError(f"the input has no room for a label: {classes} numbers of each sample")

    @override
    def second_phase(self, network: Network, first: FirstPhase) -> None:
        """Train every block on positive samples, then on negative ones."""
        (x, *rest), kwargs = first.batch
        labels, classes = network.target, network.output_shape[-1]
        if labels.is_floating_point() or labels.dim() != 1:
            found = f"{labels.dtype}, {tuple(labels.shape)}"
            raise UserError(f"the target of the batch has no class numbers: {found}", allowed="whole numbers (N,)")
        labels = labels.long()
        generator = network.generator("rule", network.device)
        shift = torch.randint(1, classes, labels.shape, generator=generator, device=network.device)
        for sign, shown in ((1.0, labels), (-1.0, (labels + shift) % classes)):
            labeled = x.flatten(1).clone()
            labeled[:, :classes] = F.one_hot(shown, classes).to(x.dtype) * x.amax()
            network.aside(self._pass(sign, first.samples), ((labeled.view_as(x), *rest), kwargs))

    def _pass(self, sign: float, samples: int) -> LocalPass:
        def signal(block: Block) -> Tensor:
            """The gradient of softplus(sign (theta - g)) / N with respect to h_l."""
            units = block.output.flatten(1)
            goodness = units.square().mean(1, keepdim=True)
            slope = -sign * torch.sigmoid(sign * (self.threshold - goodness))
            return (slope * 2 * units / units.shape[1] / samples).view_as(block.output)

        return _Normalized(signal)


class _Normalized(LocalPass):
    """A local pass in which the next block sees each output divided by the root mean square of its units."""

    @override
    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Train the block, then normalize its output, which hides its goodness from the next block."""
        constant = super().cut(block, output)
        size = constant.flatten(1).square().mean(1).sqrt() + 1e-8
        normalized: Tensor = constant / size.view(-1, *[1] * (constant.dim() - 1))
        return normalized

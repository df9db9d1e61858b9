"""PEPITA: a second forward on an input modulated by the error (Dellaferrera and Kreiman 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block
from grape_bench.network.passes import LocalPass
from grape_bench.network.phases import FirstPhase
from grape_bench.rules.two_phase import TwoPhase

if TYPE_CHECKING:
    from grape_bench.network.network import Network

PROJECTION = "projection"


class PEPITA(TwoPhase):
    """dL/dh_l := (h_l - h_l') / N in a second forward on x + F e, where h_l' is the block's output there.

    As in the paper's algorithm 1, the weight updates use the inputs of the second forward. F is Gaussian with standard
    deviation `scale` * sqrt(2 / inputs), and e is the error of each sample. The signal passes through the derivatives
    inside the block, which the paper leaves out. The head gets its true gradient, at the activations of the first
    forward.
    """

    def __init__(self, scale: float = 0.05) -> None:
        if scale <= 0:
            raise ValueError("scale must be positive")
        self.scale = scale

    @override
    def setup(self, network: Network) -> None:
        """Draw F (outputs, inputs)."""
        x: Any = next(iter(network.example[0]), None)
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise DoesNotApplyError("the input has to be a tensor of numbers, to which F e is added")
        outputs, inputs = network.output_shape[-1], x[0].numel()
        drawn = torch.randn(outputs, inputs, generator=network.generator("feedback"))
        network.blocks[0].store(PROJECTION, self.scale * (2 / inputs) ** 0.5 * drawn)

    @override
    def second_phase(self, network: Network, first: FirstPhase) -> None:
        """Run the second forward. Each block's backward runs as soon as its output exists."""
        (x, *rest), kwargs = first.batch
        # Errors at several positions are summed, because F has one column per output.
        error = first.samples * first.error.reshape(first.samples, -1, first.error.shape[-1]).sum(1)
        change = (error @ network.blocks[0].load(PROJECTION).to(error.dtype)).view_as(x)

        def signal(block: Block) -> Tensor:
            return (first.outputs[block.key] - block.output) / first.samples

        network.aside(LocalPass(signal), ((x + change, *rest), kwargs))

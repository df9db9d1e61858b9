"""Forward gradients with perturbed activations (Baydin et al. 2022; Ren et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from grape_bench.network.block import Block
from grape_bench.rules.forward_gradient import ForwardGradient


class FG(ForwardGradient):
    """p_l ~ N(0, I), at the outputs of all blocks at once."""

    def direction(self, block: Block, output: Tensor, generator: torch.Generator) -> Tensor:
        """Draw from a standard Gaussian."""
        return torch.randn(output.shape, generator=generator, device=output.device, dtype=output.dtype)

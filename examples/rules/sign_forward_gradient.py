"""Forward gradients along random signs: directions of the rule's own."""

import torch

import grape_bench as gb


class SignForwardGradient(gb.ForwardGradient):
    """Every unit moves by +1 or -1. As with Gaussian directions, the mean signal is the true gradient.

    The mean of p p^T is the identity, and that is all it takes. Signs have the smallest variance of such directions.
    """

    def direction(self, block: gb.Block, output: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw p_l, shaped like `output`. `generator` is on the device of the model."""
        coins = torch.randint(2, output.shape, generator=generator, device=output.device)
        return (2 * coins - 1).to(output.dtype)

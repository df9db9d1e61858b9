"""DFA whose read-out is noisy, as on analog hardware: random numbers of the rule's own."""

import torch

import grape_bench as gb


class NoisyDFA(gb.DirectFeedback):
    """Each signal B_l^T e is read with Gaussian noise, `noise` times as large as the signal's root mean square."""

    def __init__(self, noise: float = 0.5) -> None:
        super().__init__()
        self.noise = noise

    def signal(self, block: gb.Block, error: torch.Tensor) -> torch.Tensor:
        """B_l^T e with noise, shaped like `block.output`."""
        clean = self.project(error, block)
        # The generator of `self.random` is on the block's device, and a resumed run continues from its last draw.
        noise = torch.empty_like(clean).normal_(generator=self.random(block))
        return clean + self.noise * clean.square().mean().sqrt() * noise

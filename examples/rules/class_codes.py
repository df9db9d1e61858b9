"""A local loss without a classifier: each block turns its output toward a fixed random code of the class."""

import torch
import torch.nn.functional as F

import grape_bench as gb


class ClassCodes(gb.LocalLoss):
    """The loss of a block is 1 - cos(h_l, c), where c is the code of the sample's class: random zeros and ones."""

    def setup(self, network: gb.Network) -> None:
        """Draw the codes (classes, features) of each block. The block keeps them, so they are saved with the model."""
        if len(network.output_shape) > 1:
            raise gb.DoesNotApplyError("a block has one class per sample, and this network has one per position")
        for block in network.blocks:
            drawn = torch.rand(network.output_shape[-1], block.size, generator=network.generator("feedback"))
            block.store("codes", (drawn < 0.5).to(network.dtype))

    def loss(self, block: gb.Block, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Sum the losses of the samples. `output` is (N, *shape), and `target` (N, classes) is one-hot."""
        codes = block.load("codes")
        return (1 - F.cosine_similarity(output.flatten(1), target.to(codes.dtype) @ codes)).sum()

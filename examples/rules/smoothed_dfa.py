"""DFA whose blocks learn in two forwards: a second phase on another input."""

import torch

import grape_bench as gb


class SmoothedDFA(gb.TwoPhase):
    """The mean of DFA's update on the batch and on the batch with noise, for the error e of the batch itself.

    The second forward has other activations, so a block learns to answer e in a neighborhood of its inputs.
    """

    def __init__(self, noise: float = 0.3) -> None:
        self.noise = noise

    def setup(self, network: gb.Network) -> None:
        """Draw B_l (outputs, features) for each block."""
        (x, *_), _ = network.example if network.example[0] else ((None,), {})
        if x is None or not x.is_floating_point():
            raise gb.DoesNotApplyError("the input has to be a tensor of numbers, to which noise is added")
        for block in network.blocks:
            drawn = torch.randn(network.output_shape[-1], block.size, generator=network.generator("feedback"))
            block.store("feedback", drawn / block.size**0.5)

    def second_phase(self, network: gb.Network, first: gb.FirstPhase) -> None:
        """Run the second forward when the error is known. What its backward leaves in `.grad` counts as a gradient."""
        self._error = first.error.reshape(first.samples, -1, first.error.shape[-1]).sum(1)
        (x, *rest), kwargs = first.batch
        noise = torch.empty_like(x).normal_(generator=network.generator("perturbation", network.device))
        # In a local pass, each block's backward runs as soon as its output exists.
        network.aside(gb.LocalPass(self.signal), ((x + self.noise * noise, *rest), kwargs))

    def signal(self, block: gb.Block) -> torch.Tensor:
        """B_l^T e / 2, shaped like `block.output`. After the second phase, the training forward asks for it too."""
        feedback = block.load("feedback")
        return (self._error.to(feedback.dtype) @ feedback / 2).view_as(block.output)

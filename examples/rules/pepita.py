"""PEPITA (Dellaferrera and Kreiman 2022): a second forward on an input that the error has changed."""

import torch

import grape_bench as gb


class PEPITA(gb.TwoPhase):
    """The first forward is on x, the second on x + F e. A block learns from the difference of its two outputs.

    dL/dh_l := (h_l - h_l') / N in the second forward, where h_l' is the block's output there. So the weights see the
    inputs of the second forward, as in the paper (its algorithm 1). The head learns from the first forward.
    F is Gaussian with the standard deviation `scale` * sqrt(2 / inputs).
    """

    def __init__(self, scale: float = 0.05) -> None:
        self.scale = scale

    def setup(self, network: gb.Network) -> None:
        """Draw F (outputs, inputs)."""
        (x, *_), _ = network.example if network.example[0] else ((None,), {})
        if x is None or not x.is_floating_point():
            raise gb.DoesNotApplyError("the input has to be a tensor of numbers, to which F e is added")
        outputs, inputs = network.output_shape[-1], x[0].numel()
        drawn = torch.randn(outputs, inputs, generator=network.generator("feedback"))
        network.blocks[0].store("projection", self.scale * (2 / inputs) ** 0.5 * drawn)

    def second_phase(self, network: gb.Network, first: gb.FirstPhase) -> None:
        """Run the second forward. Each block's backward runs as soon as its output exists."""
        (x, *rest), kwargs = first.batch
        error = first.samples * first.error.reshape(first.samples, -1, first.error.shape[-1]).sum(1)
        change = (error @ network.blocks[0].load("projection").to(error.dtype)).view_as(x)

        def signal(block: gb.Block) -> torch.Tensor:
            return (first.outputs[block.key] - block.output) / first.samples

        network.aside(gb.LocalPass(signal), ((x + change, *rest), kwargs))

"""Error broadcast and decorrelation (Erdogan, Pehlevan et al. 2025): feedback that the rule updates in every step."""

import torch

import grape_bench as gb


class EBD(gb.LearningRule):
    """dL/dh_l := R_l e. R_l is a running mean of h_l e^T over the batch.

    An optimal estimator leaves an error that is uncorrelated with every activation. The gradient of ||R_l||^2 with
    respect to the activations is R_l e, so the rule decorrelates them from the error. `memory` is the weight of the
    past in R_l. `rate` scales the signal, because R_l shrinks with the error.
    """

    weight_transport = False

    def __init__(self, memory: float = 0.9999, rate: float = 1.0) -> None:
        self.memory, self.rate = memory, rate

    def setup(self, network: gb.Network) -> None:
        """Keep R_l (features, outputs), which starts at zero plus a little noise."""
        for block in network.blocks:
            outputs = network.output_shape[-1]
            start = torch.randn(block.size, outputs, generator=network.generator("feedback"))
            block.store("correlation", start / block.size**0.5)

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """Zero: no block waits for another block."""
        return 0.0

    def credit(self, network: gb.Network) -> dict[str, gb.Credit]:
        """The rule's gradients below the last cut, exact gradients above it."""
        return network.credit("rule", "above the cuts")

    def open_pass(self, network: gb.Network, batch: gb.Batch) -> gb.Pass:
        """Cut at every block."""
        return gb.CutPass(self.signal)

    def signal(self, block: gb.Block, error: torch.Tensor) -> torch.Tensor:
        """Update R_l, then return R_l e, shaped like `block.output`. Errors at several positions are summed."""
        error = error.reshape(len(error), -1, error.shape[-1]).sum(1)
        activity = block.output.flatten(1)
        correlation = block.load("correlation")
        # The error of a mean loss is 1/N of a sample's error, so this product is already a mean over the batch.
        now = activity.to(correlation.dtype).T @ (error / block.loss_scale).to(correlation.dtype)
        correlation.lerp_(now, 1 - self.memory)
        return (self.rate * error @ correlation.T.to(error.dtype)).view_as(block.output)

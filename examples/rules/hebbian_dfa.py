"""Hebbian feedback on a schedule: B_l learns which units fire with which error, at a rate that falls to zero."""

import torch

import grape_bench as gb


class HebbianDFA(gb.DirectFeedback):
    """dL/dh_l := B_l^T e. Then B_l moves along -e h_l^T, which is also how a weight from h_l to the output would move.

    `rate` is that of the first step. A row of B_l keeps the norm 1, so only its direction learns.
    """

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__(feedback="dense")
        self.rate = rate
        self._now = rate

    def setup(self, network: gb.Network) -> None:
        """Draw B_l (n_out, units) as DFA does. A stored tensor is in `state_dict`, so it resumes."""
        if network.sequences:
            raise gb.DoesNotApplyError("B_l has a column per unit, and a sequence may have any number of them")
        for block in network.blocks:
            drawn = torch.randn(network.output_shape[-1], block.size, generator=network.generator("feedback"))
            block.store("hebbian", drawn / drawn.norm(dim=1, keepdim=True))

    def open_pass(self, network: gb.Network, batch: gb.Batch) -> gb.Pass:
        """The schedule: linear from `rate` to zero. In a loop that does not say how long it is, the rate stays."""
        planned = network.planned_steps
        self._now = self.rate * max(0.0, 1 - network.counts.steps / planned) if planned else self.rate
        return super().open_pass(network, batch)

    def signal(self, block: gb.Block, error: torch.Tensor) -> torch.Tensor:
        """B_l^T e, shaped like `block.output`, and the Hebbian step of B_l."""
        feedback = block.load("hebbian")
        sent = error @ feedback.to(error.dtype)
        together = -error.T.to(feedback.dtype) @ block.output.flatten(1).to(feedback.dtype)
        feedback.add_(self._now * together / together.norm(dim=1, keepdim=True).clamp_min(1e-12))
        feedback.div_(feedback.norm(dim=1, keepdim=True))
        return sent.view_as(block.output)

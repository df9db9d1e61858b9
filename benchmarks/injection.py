"""Passes that record BP's gradients at the cuts of a network, and passes that inject them."""

from collections import defaultdict

import torch

from grape_bench.network.passes import CutPass, Pass


class Recorded(Pass):
    """Backpropagation that keeps the gradient of every cut, and of the network's output (`error`).

    `signals` has the gradients of each block's calls, in the order of the calls. It has None for a call that does not
    affect the loss.
    """

    def __init__(self):
        self.signals = defaultdict(list)
        self.error = None

    def cut(self, block, output):
        calls = self.signals[block.name]
        index = len(calls)
        calls.append(None)
        seen = output.clone()  # because a block may also use its output internally
        seen.register_hook(lambda signal: calls.__setitem__(index, signal))
        return seen

    def join(self, logits):
        seen = logits.clone()
        seen.register_hook(lambda error: setattr(self, "error", error))
        return seen

    @property
    def found(self):
        """All gradients, of all blocks."""
        return [signal for calls in self.signals.values() for signal in calls if signal is not None]


class Injected(CutPass):
    """Cuts with recorded gradients as the signals. Autograd visits the calls of a block from the last to the first."""

    def __init__(self, recorded):
        self.waiting = {name: list(calls) for name, calls in recorded.signals.items()}
        super().__init__(self._next)

    def _next(self, block, _):
        signal = self.waiting[block.name].pop()
        return torch.zeros(block.output_shape) if signal is None else signal

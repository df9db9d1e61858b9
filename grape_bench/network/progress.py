"""How far a forward has come: which modules and blocks were called, and how often."""

from __future__ import annotations

from collections import Counter

from torch import Tensor, nn

from grape_bench.network.block import Block


class Progress:
    """How far the current forward of `samples` samples has come: module calls, and activations that are already cut."""

    def __init__(self, samples: int = 1) -> None:
        self.samples = samples
        self._turns: Counter[tuple[nn.Module, bool]] = Counter()
        self._calls: Counter[str] = Counter()
        self._known: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}
        self.met: set[str] = set()  # the names of the blocks that have been called

    def next(self, module: nn.Module, entering: bool) -> int:
        """Count one more call of `module`; returns how many came before."""
        self._turns[module, entering] += 1
        return self._turns[module, entering] - 1

    def at_call(self, block: Block) -> Block:
        """`block`, in its next call."""
        if block.calls == 1:
            return block
        self._calls[block.name] += 1
        return block.at_call(self._calls[block.name] - 1)

    def known(self, block: Block, activation: Tensor) -> Tensor | None:
        """What the model sees instead of `activation`, if it has been cut at another site of `block`."""
        found = self._known.get((block.name, id(activation)))
        return None if found is None else found[1]

    def note(self, block: Block, activation: Tensor, seen: Tensor) -> None:
        """Remember a cut of a block with several sites: one activation that several modules read is cut once."""
        if len(block.sites) > 1:
            self._known[block.name, id(activation)] = activation, seen

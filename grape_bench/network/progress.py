"""The progress of a forward: which modules and blocks were called, and how often."""

from __future__ import annotations

from torch import Tensor, nn
from torch.autograd.graph import Node

from grape_bench.network.block import Block


class Progress:
    """The progress of the current forward: module calls, and activations that are already cut.

    `met` are the names of the blocks that have been called. `crossed` are the nodes of the activations where a gradient
    may cross a cut, and `counts_at_once` means that one hook at the output counts them.
    """

    def __init__(self, counts_at_once: bool) -> None:
        self.counts_at_once = counts_at_once
        self._turns: dict[tuple[nn.Module, bool], int] = {}
        self._calls: dict[str, int] = {}
        self._known: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}
        self.met: set[str] = set()
        self.crossed: list[Node] = []

    def let_go(self) -> None:
        """Drop the graph at the end of the forward. The numbers of calls stay, for parts that are recomputed later."""
        self._known, self.crossed = {}, []

    def next(self, module: nn.Module, entering: bool) -> int:
        """Count one more call of `module`. Returns the number of calls before it."""
        turn = self._turns.get((module, entering), 0)
        self._turns[module, entering] = turn + 1
        return turn

    def at_call(self, block: Block) -> Block:
        """`block` at its next call."""
        if block.calls == 1:
            return block
        call = self._calls.get(block.name, 0)
        self._calls[block.name] = call + 1
        return block.at_call(call)

    def known(self, block: Block, activation: Tensor) -> Tensor | None:
        """What the model sees instead of `activation`, if it has been cut at another site of `block`."""
        found = self._known.get((block.name, id(activation)))
        return None if found is None else found[1]

    def note(self, block: Block, activation: Tensor, seen: Tensor) -> None:
        """Record a cut of a block with several sites. An activation that several modules read is cut once."""
        if len(block.sites) > 1:
            self._known[block.name, id(activation)] = activation, seen

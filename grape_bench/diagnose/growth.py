"""How activations grow from block to block."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise

from grape_bench.diagnose.reading import Reading, Values
from grape_bench.network.network import Network
from grape_bench.network.trace import Batch


class Growth:
    """`size`: the root mean square of a block's output, so that wide and narrow blocks are comparable.

    `growth`: a block's size ÷ the size of the previous block. For the first block, ÷ the size of its input.
    """

    def __init__(self, network: Network) -> None:
        self.chain = ["", *(block.name for block in network.blocks)]
        self._squares: dict[str, list[float]] = defaultdict(list)

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Add a batch."""
        for name, size in own.sizes.items():
            self._squares[name].append(size**2)

    def values(self) -> Values:
        """Return the values by block."""
        sizes = {name: math.sqrt(sum(squares) / len(squares)) for name, squares in self._squares.items()}
        return {
            name: {"size": sizes[name], "growth": sizes[name] / sizes[before] if sizes.get(before) else math.nan}
            for before, name in pairwise(self.chain)
            if name in sizes
        }

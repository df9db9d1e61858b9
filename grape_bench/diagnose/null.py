"""The cosine that fresh random feedback reaches: what an alignment has to exceed."""

from __future__ import annotations

import math
from collections import defaultdict

from grape_bench.diagnose.comparison import Comparison
from grape_bench.diagnose.metric import Values
from grape_bench.diagnose.reading import Reading
from grape_bench.network.network import Network
from grape_bench.network.preserve import apart
from grape_bench.network.trace import Batch
from grape_bench.rules.dfa import DFA

DRAWS = 4


class Null:
    """`null_cos`: root mean square, over draws of a random B, of the cosine between B^T e and dL/dh.

    Direct feedback as DFA draws it, whatever the rule, on the first probe batch: how well any signal made of the
    error may do by chance. It is far from zero where the error has few dimensions.
    """

    def __init__(self, network: Network, draws: int = DRAWS) -> None:
        self.network, self.draws = network, draws
        self._cosines: dict[str, list[float]] = defaultdict(list)

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Draw, and look at the first batch."""
        if self._cosines or true.error is None:
            return
        with apart(self.network):
            for draw in range(self.draws):
                self.network.reseed(-1 - draw)  # no run's seed
                dfa = DFA()
                dfa.setup(self.network)
                for block in self.network.blocks:
                    exact = true.signals[block.name]
                    signal = dfa.project(true.error, block.at(exact))
                    self._cosines[block.name].append(Comparison.of(signal, exact).cosine)

    def values(self) -> Values:
        """By block."""
        return {
            block: {"null_cos": math.sqrt(sum(cosine**2 for cosine in cosines) / len(cosines))}
            for block, cosines in self._cosines.items()
        }

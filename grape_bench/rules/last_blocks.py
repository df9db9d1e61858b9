"""A rung of the depth ladder: backpropagation trains the last blocks, and the blocks below stay untrained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from typing_extensions import override

from grape_bench.network.passes import Pass
from grape_bench.network.rule import LearningRule

if TYPE_CHECKING:
    from grape_bench.network.block import Block
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class LastBlocks(LearningRule):
    """Exact gradients for the last `blocks` blocks and the head. If the network has no more blocks, this is BP."""

    def __init__(self, blocks: int = 1) -> None:
        if blocks < 1:
            raise ValueError("blocks must be at least 1; head-only trains no block")
        self.blocks = blocks
        self._share, self._reads = 1.0, True

    @override
    def setup(self, network: Network) -> None:
        trained = min(self.blocks, len(network.blocks))
        self._share = trained / len(network.blocks)
        self._reads = trained > 1 or network.unembedding is None

    @property
    def weight_transport(self) -> bool:  # type: ignore[override]
        """Whether a signal reads weights. With an unembedding, one trained block needs none."""
        return self._reads

    @override
    def bp_fraction(self, batches: int, epochs: float) -> float:
        """The share of the network's blocks that are trained, once attached."""
        return self._share

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        return TopPass(self._below(network))

    @override
    def credit(self, network: Network) -> dict[str, Credit]:
        below = self._below(network)
        trained = {name for segment, own in network.segments.items() if segment not in below for name in own}
        untrained = {name for segment in below for name in network.segments[segment]}
        found: dict[str, Credit] = dict.fromkeys(untrained, "frozen")
        return found | {name: "rule" if name in untrained else "exact" for name in trained}

    def _below(self, network: Network) -> frozenset[str]:
        """The names of the blocks that stay untrained."""
        return frozenset(block.name for block in network.blocks[: -self.blocks])


class TopPass(Pass):
    """A pass in which the outputs of the blocks `below` are constants."""

    def __init__(self, below: frozenset[str]) -> None:
        self.below = below

    @override
    def cut(self, block: Block, output: Tensor) -> Tensor:
        return output.detach() if block.name in self.below else output

    @override
    def again(self) -> Pass:
        return TopPass(self.below)

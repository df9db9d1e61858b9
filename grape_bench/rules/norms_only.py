"""A control between frozen blocks and BP: backpropagation trains the embedding, the norms and the head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from torch import nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.passes import Pass
from grape_bench.network.reach import HEAD
from grape_bench.network.rule import LearningRule

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class NormsOnly(LearningRule):
    """Exact gradients for the embedding, every norm and the head. All other weights of the blocks stay unchanged.

    The embedding is every `nn.Embedding`, and whatever comes before the first block without being part of it: a stem, a
    patch embedding, learned positions. A norm is a module with "norm" in its class name. Raises DoesNotApplyError if
    the network has neither below its last cut.
    """

    weight_transport: ClassVar[bool] = True

    def __init__(self) -> None:
        self._share = 1.0

    @override
    def setup(self, network: Network) -> None:
        chosen, reached, crossed = _chosen(network), False, 0
        for block in network.blocks:
            reached = reached or not chosen.isdisjoint(network.segments[block.name])
            crossed += reached
        if not reached:
            raise DoesNotApplyError("the network has no embedding and no norm below its last cut", hint="head-only")
        self._share = crossed / len(network.blocks)

    @override
    def bp_fraction(self, batches: int, epochs: float) -> float:
        """The share of the blocks that have trained parameters in or below them, once attached."""
        return self._share

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        trained = self.credit(network)
        return FrozenPass([one for name, one in network.model.named_parameters() if trained.get(name) == "frozen"])

    @override
    def credit(self, network: Network) -> dict[str, Credit]:
        names = {name for own in network.segments.values() for name in own}
        found: dict[str, Credit] = dict.fromkeys(names, "frozen")
        return found | dict.fromkeys(_chosen(network) | network.segments[HEAD], "exact")


def _chosen(network: Network) -> set[str]:
    """The names of the embedding and norm parameters."""
    first = network.blocks[0]
    inside = {id(parameter) for parameter in first.module.parameters()}
    # If the first block has no weighted submodules (a ReLU, say), what comes before it is the layer that it ends.
    before = network.segments[first.name] if len(inside) > len(list(first.module.parameters(recurse=False))) else set()
    names = {name for name in before if id(network.model.get_parameter(name)) not in inside}
    for prefix, module in network.model.named_modules():
        if isinstance(module, nn.Embedding) or "norm" in type(module).__name__.lower():
            names |= {f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False)}
    return names & {name for own in network.segments.values() for name in own}


class FrozenPass(Pass):
    """A pass of backpropagation in which the `frozen` parameters are constants."""

    def __init__(self, frozen: Sequence[nn.Parameter]) -> None:
        self.frozen = frozen

    @contextmanager
    def around(self) -> Iterator[None]:
        """Keep the frozen parameters out of the graph of the forward."""
        held = [parameter for parameter in self.frozen if parameter.requires_grad]
        for parameter in held:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in held:
                parameter.requires_grad_(True)

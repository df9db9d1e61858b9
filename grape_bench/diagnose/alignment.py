"""Whether the signal at each block's output points in the direction of the true dL/dh."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch import Tensor

from grape_bench.diagnose.comparison import Comparison
from grape_bench.diagnose.reading import Reading, Values, apart, at_last_call, read, rule_pass
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.trace import Batch, as_batch
from grape_bench.network.trees import map_tensors
from grape_bench.rules.dfa import DFA

Example = tuple[Any, Any]
"""The model's input in the form that `attach` accepts as an example, and the target."""


def alignment(network: Network, batches: Iterable[Example], loss: Callable[[Any, Any], Tensor]) -> dict[str, float]:
    """Return block name -> the cosine between the rule's signal and the true dL/dh at the block's output.

    `batches` are pairs of a model input (a tensor, a tuple of arguments or a dict of keyword arguments) and a target.
    All samples together count as one vector. `loss(output, target)` is a scalar. The cosine is 1 for backpropagation,
    and NaN if the signal or the gradient is zero. The rule is measured in its current state and in the model's current
    mode, and nothing changes.

        gb.alignment(net, [(x, y)], torch.nn.functional.cross_entropy)   # {"0": 0.04, "2": 0.31}
    """
    measured = Alignment(network)
    with apart(network) as rule:
        for given, target in batches:
            batch, target = map_tensors(lambda tensor: tensor.to(network.device), (as_batch(given), target))
            loss_of = partial(_loss, loss, target)
            true = read(network, Pass(), batch, loss_of)
            with network.informed(loss_of, target):
                own = read(network, rule_pass(network, rule, batch), batch, loss_of)
            measured.see(batch, own, true)
    return {block: columns["signal_cos"] for block, columns in measured.values().items()}


def _loss(loss: Callable[[Any, Any], Tensor], target: Any, output: Any) -> Tensor:
    return loss(output, target)


class Alignment:
    """Compares the rule's signal at each block's output with the true dL/dh:

    - `signal_cos`, `signal_ratio`: cosine and norm ratio, with all samples as one vector;
    - `signal_zeros`: the number of samples in which one of the two is exactly zero;
    - `gain`: norm of dL/dh ÷ norm of the error dL/dy_hat, which does not depend on the size of the loss. NaN if the
      block is frozen with all blocks below it, so that it gets no dL/dh.
    """

    def __init__(self, network: Network) -> None:
        self.blocks = [block.name for block in network.blocks]
        self._signals: dict[str, Comparison] = defaultdict(Comparison)
        self._zeros: Counter[str] = Counter()
        self._reached: set[str] = set()  # the blocks with a dL/dh
        self._error = Comparison()

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Add a batch."""
        self._error += Comparison.of(None, true.error)
        for block in self.blocks:
            signal, exact = own.signals.get(block), true.signals.get(block)
            self._signals[block] += Comparison.of(signal, exact)
            self._zeros[block] += _zero_samples(signal, exact)
            if exact is not None:
                self._reached.add(block)

    def values(self) -> Values:
        """Return the values by block."""
        gains = {
            block: Comparison(own=self._signals[block].reference, reference=self._error.reference).ratio
            for block in self._reached
        }
        return {
            block: {
                "signal_cos": compared.cosine,
                "signal_ratio": compared.ratio,
                "signal_zeros": float(self._zeros[block]),
                "gain": gains.get(block, math.nan),
            }
            for block, compared in self._signals.items()
        }


def _zero_samples(signal: Tensor | None, exact: Tensor | None) -> int:
    present = [tensor for tensor in (signal, exact) if tensor is not None]
    if len(present) < 2:
        return len(present[0]) if present else 0
    return int(sum((tensor.flatten(1) == 0).all(1) for tensor in present).count_nonzero())  # type: ignore[union-attr]


DRAWS = 4


class Null:
    """`null_cos`: the root mean square, over draws of a random B, of the cosine between B^T e and dL/dh.

    For every rule, B is random direct feedback as in DFA, and only the first probe batch is used. The value is the
    cosine that a random signal made from the error reaches by chance. It is far from zero if the error has few
    dimensions.
    """

    def __init__(self, network: Network, draws: int = DRAWS) -> None:
        self.network, self.draws = network, draws
        self._cosines: dict[str, list[float]] = defaultdict(list)

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Use the first batch only."""
        if self._cosines or true.error is None:
            return
        with apart(self.network):
            for draw in range(self.draws):
                self.network.streams.reseed(-1 - draw)  # negative, so that no run has the same seed
                dfa = DFA()
                dfa.setup(self.network)
                for block in map(at_last_call, self.network.blocks):
                    exact = true.signals.get(block.name)
                    if exact is not None:
                        signal = dfa.project(block.part_of(true.error), block.at(exact))
                        self._cosines[block.name].append(Comparison.of(signal, exact).cosine)

    def values(self) -> Values:
        """Return the values by block."""
        return {
            block: {"null_cos": math.sqrt(sum(cosine**2 for cosine in cosines) / len(cosines))}
            for block, cosines in self._cosines.items()
        }

"""Whether the parameters' gradients point in the direction of the true gradients, by block."""

from __future__ import annotations

import torch
from torch import Tensor

from grape_bench.diagnose.comparison import Comparison
from grape_bench.diagnose.reading import Flat, Reading, Values, flat
from grape_bench.network.network import Network
from grape_bench.network.reach import HEAD
from grape_bench.network.trace import Batch
from grape_bench.record.table import HIDDEN, NETWORK


class Gradients:
    """`gradient_cos` and `gradient_ratio`: the parameters' gradients, summed over the probe batches, against BP's.

    `gradient_norm` is the norm of the true gradient.

    They complement the metrics of the signals, because a block's gradient also depends on the block's inputs.
    """

    def __init__(self, network: Network) -> None:
        self.groups = parameter_groups(network)
        self._own: dict[str, Tensor] = {}
        self._true: dict[str, Tensor] = {}
        self._batches = 0

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Add a batch."""
        self._batches += 1
        for total, gradients in ((self._own, own.gradients), (self._true, true.gradients)):
            for name, gradient in gradients.items():
                total[name] = gradient if name not in total else total[name] + gradient

    def values(self) -> Values:
        """Return the values by block, and for all of them."""
        found: Values = {}
        for group, compared in grouped(compare(flat(self._own), flat(self._true)), self.groups).items():
            norm = Comparison(own=compared.reference, reference=float(self._batches**2)).ratio
            found[group] = {
                "gradient_cos": compared.cosine,
                "gradient_ratio": compared.ratio,
                "gradient_norm": norm,
            }
        return found


def parameter_groups(network: Network) -> dict[str, list[str]]:
    """The names of the parameters in each block, in all blocks (`HIDDEN`), and in the network."""
    blocks = {block.name: sorted(network.segments[block.name]) for block in network.blocks}
    hidden = sorted(set().union(*blocks.values()))
    return {**blocks, HIDDEN: hidden, NETWORK: sorted({*hidden, *network.segments[HEAD]})}


def compare(own: Flat, reference: Flat) -> dict[str, Comparison]:
    """Comparison of each parameter. An absent tensor counts as zero."""
    names = list({**own, **reference})
    pairs = {
        (name, part): (x[name], y[name])
        for name in names
        for part, (x, y) in enumerate(((own, reference), (own, own), (reference, reference)))
        if name in x and name in y
    }
    # One transfer for all numbers, because each transfer from a GPU synchronizes.
    products = torch.stack([torch.dot(x, y) for x, y in pairs.values()]).tolist() if pairs else []
    found = dict(zip(pairs, products, strict=True))
    return {name: Comparison(*(found.get((name, part), 0.0) for part in range(3))) for name in names}


def grouped(compared: dict[str, Comparison], groups: dict[str, list[str]]) -> dict[str, Comparison]:
    """Compare the parameters of each group as one vector."""
    return {
        group: sum((compared[name] for name in names if name in compared), Comparison())
        for group, names in groups.items()
    }

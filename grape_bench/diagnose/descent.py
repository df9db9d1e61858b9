"""How often a step along the rule's direction would lower the loss, to first order."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from grape_bench.diagnose.gradient import compare, grouped, parameter_groups
from grape_bench.diagnose.reading import Flat, Reading, Values, flat
from grape_bench.network.network import Network
from grape_bench.network.trace import Batch
from grape_bench.record.table import HIDDEN, NETWORK


class Descent:
    """The share of probe batches on which true gradient · update < 0, for the hidden parameters and for all.

    `descent` uses minus the rule's gradient on the same batch as the update. `update_descent` uses one step of the
    optimizer, with its momentum, scaling and decay, on the rule's gradient of the first batch. The head's gradient is
    exact under every rule, so only the share for hidden parameters says anything about credit assignment.
    """

    def __init__(self, network: Network, optimizer: torch.optim.Optimizer) -> None:
        groups = parameter_groups(network)
        self.groups = {name: groups[name] for name in (HIDDEN, NETWORK)}
        self.parameters = dict(network.model.named_parameters())
        self.optimizer = optimizer
        self._step: Flat | None = None
        self._raw: dict[str, list[bool]] = {name: [] for name in self.groups}
        self._update: dict[str, list[bool]] = {name: [] for name in self.groups}

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Add a batch."""
        if self._step is None:
            self._step = flat(self.update(own.gradients))
        for group, compared in grouped(compare(own.flat, true.flat), self.groups).items():
            self._raw[group].append(compared.product > 0)
        for group, compared in grouped(compare(self._step, true.flat), self.groups).items():
            self._update[group].append(compared.product < 0)

    def values(self) -> Values:
        """Return the values for the hidden parameters and for all parameters."""
        return {
            group: {"descent": _share(self._raw[group]), "update_descent": _share(self._update[group])}
            for group in self.groups
        }

    def update(self, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the change that the optimizer's next step would make to each parameter, given its gradient."""
        names = {id(parameter): name for name, parameter in self.parameters.items()}
        optimizer = copy.deepcopy(self.optimizer)  # a copy with its own parameters
        pairs = [
            (names[id(parameter)], twin)
            for group, copied in zip(self.optimizer.param_groups, optimizer.param_groups, strict=True)
            for parameter, twin in zip(group["params"], copied["params"], strict=True)
            if id(parameter) in names  # skips the rule's own parameters
        ]
        for name, twin in pairs:
            twin.grad = gradients[name].clone() if name in gradients else None
        optimizer.step()
        return {name: twin.detach() - self.parameters[name].detach() for name, twin in pairs}


def _share(outcomes: list[bool]) -> float:
    return sum(outcomes) / len(outcomes)

"""How well the feedback B of the FA family matches the weights W that it replaces."""

from __future__ import annotations

import torch

from grape_bench.diagnose.comparison import Comparison
from grape_bench.diagnose.gradient import grouped, parameter_groups
from grape_bench.diagnose.reading import NotMeasuredError, Reading, Values, watch
from grape_bench.network.block import PREFIX
from grape_bench.network.network import Network
from grape_bench.network.rule import LearningRule
from grape_bench.network.trace import Batch
from grape_bench.record.table import HIDDEN
from grape_bench.rules.backward import BackwardFeedback
from grape_bench.rules.exact_steps import bare


class WeightAlignment:
    """`weight_cos`: the cosine between B and W, with all linear maps of a block as one vector. FA family only."""

    def __init__(self, network: Network, rule: LearningRule) -> None:
        self.network = network
        self.rule = bare(rule)
        self._used = False  # whether the backward reads the result of `matrix`
        if isinstance(self.rule, BackwardFeedback):
            watch(self.rule, "matrix", lambda weight, feedback: setattr(self, "_used", True))

    def see(self, batch: Batch, own: Reading, true: Reading) -> None:
        """Do nothing, because the weights are the same for every batch."""

    def values(self) -> Values:
        """Return the values by block, and for the network. Raises NotMeasuredError if no pass used `matrix`."""
        if not isinstance(self.rule, BackwardFeedback):
            return {}
        if not self._used:
            raise NotMeasuredError(f"the backward of {type(self.rule).__name__} does not use its `matrix`")
        groups = {name: names for name, names in parameter_groups(self.network).items() if name != HIDDEN}
        return {
            group: {"weight_cos": compared.cosine}
            for group, compared in grouped(self._compared(self.rule), groups).items()
        }

    @torch.no_grad()  # as in a backward, where `matrix` may update the feedback in place
    def _compared(self, rule: BackwardFeedback) -> dict[str, Comparison]:
        names = {id(parameter): name for name, parameter in self.network.model.named_parameters()}
        compared: dict[str, Comparison] = {}
        for module, attribute in self.network.weights:
            weight = module.get_parameter(attribute)
            name = names[id(weight)]
            if name not in compared:  # a tied weight has its B at its first module
                matrix = rule.matrix(weight, module.get_buffer(f"{PREFIX}{attribute}_feedback"))
                compared[name] = Comparison.of(matrix, weight)
        return compared

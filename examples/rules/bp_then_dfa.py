"""A schedule: backpropagation in the first epochs, then direct feedback alignment."""

from typing import Any

import grape_bench as gb


class BPThenDFA(gb.LearningRule):
    """Hands its passes to another rule after `epochs` epochs. The training loop must call `network.begin_epoch`.

    A rule does not know how long the training will be. So the schedule counts epochs, not a share of them.
    """

    weight_transport = True  # in the first epochs

    def __init__(self, epochs: int = 1) -> None:
        self.epochs = epochs
        self._begun = 0  # a number is plain data, so a resumed run continues from it
        self._dfa = gb.make_rule("dfa")

    def setup(self, network: gb.Network) -> None:
        """The second rule draws its feedback now, because `setup` is the only time for it."""
        self._dfa.setup(network)

    def begin_epoch(self, network: gb.Network, batches: int) -> None:
        """Count the epoch."""
        self._begun += 1
        self._dfa.begin_epoch(network, batches)

    def open_pass(self, network: gb.Network, batch: gb.Batch) -> gb.Pass:
        """A plain pass is backpropagation."""
        return gb.Pass() if self._begun <= self.epochs else self._dfa.open_pass(network, batch)

    def bp_fraction(self, batches: int, epochs: float) -> float:
        """The share of the first epochs."""
        return min(1.0, self.epochs / epochs)

    def credit(self, network: gb.Network) -> dict[str, gb.Credit]:
        """What the second rule says: its own gradients below the last cut, and exact ones above it."""
        return self._dfa.credit(network)

    def state(self) -> dict[str, Any]:
        """The count of epochs, and the state of the rule inside."""
        return {"own": super().state(), "dfa": self._dfa.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from what `state` returned."""
        super().load_state(state["own"])
        self._dfa.load_state(state["dfa"])

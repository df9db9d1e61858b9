"""Equilibrium propagation: an energy model at rest, and at rest under a weak force (Scellier and Bengio 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.passes import Pass
from grape_bench.network.phases import FirstPhase, TwoPhasePass
from grape_bench.network.preserve import full_precision
from grape_bench.rules.two_phase import TwoPhase

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


@runtime_checkable
class EnergyModel(Protocol):
    """What the rule asks of a model that ends at rest. Its blocks have to be the layers in `hidden`.

    `states` are those of the hidden layers and of the output units, which are the model's output (N, n_out).
    """

    hidden: Sequence[nn.Module]

    def relax(self, x: Tensor, states: Sequence[Tensor], steps: int, force: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """The states after `steps` steps down the energy, with a `force` on the output units."""

    def energy(self, x: Tensor, states: Sequence[Tensor]) -> Tensor:
        """The energy summed over samples, differentiable with respect to the parameters."""


class EquilibriumPropagation(TwoPhase):
    """dL/dw := (dE/dw at the nudged state - dE/dw at the free state) / beta, a mean over samples.

    The free state is the model's forward. From there, `steps` steps under the force -beta dL/dy on the output units
    give the nudged state. L is the loss of the task, for each sample. In the paper it is the squared error to the
    one-hot target. The sign of `beta` is drawn in each step. With `symmetric`, both signs take their steps, and the
    difference of the two states, over 2 beta, replaces that to the free state (Laborieux et al. 2021). All weights
    learn this way, also those of the output units.

    Energy models only: raises DoesNotApplyError for any other. Their dynamics send states down through W^T, and so the
    effect of the force. This is weight transport.
    """

    # Example: x (N, 64), s_1 (N, 500), y = s_2 (N, 10), and after the nudge s_1', y'.
    #   dL/dW_2 := -(y'^T s_1' - y^T s_1) / (N beta) (10, 500); dL/db_2 := -(y' - y).sum(0) / (N beta)

    weight_transport: ClassVar[bool] = True

    def __init__(self, beta: float = 0.5, steps: int = 4, symmetric: bool = False) -> None:
        if beta <= 0 or steps < 1:
            raise ValueError("beta must be positive, and steps at least 1")
        self.beta, self.steps, self.symmetric = beta, steps, symmetric

    @override
    def setup(self, network: Network) -> None:
        """Check that the model has an energy."""
        if not isinstance(network.model, EnergyModel):
            raise DoesNotApplyError("the model has no energy whose units rest under W and W^T", hint="layered-energy")
        if [block.module for block in network.blocks] != list(network.model.hidden):
            raise DoesNotApplyError("the model is not cut at each of its hidden layers, and nowhere else")

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass whose second phase trains all parameters."""
        return _FreePass(network, batch, lambda first: self.second_phase(network, first))

    @override
    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's gradients for every parameter."""
        return dict.fromkeys(network.credit("rule", "above the cuts"), "rule")

    @override
    def second_phase(self, network: Network, first: FirstPhase) -> None:
        """Relax under the force, and leave the difference of the energies' gradients in the weights."""
        model = network.model
        assert isinstance(model, EnergyModel), "checked in `setup`"
        args, kwargs = first.batch
        x = next(iter((*args, *kwargs.values())))
        free = [*(first.outputs[block.key] for block in network.blocks), first.logits]
        sign = 1.0 if self.symmetric else self._drawn_sign(network)
        distance = sign * self.beta * (2 if self.symmetric else 1)
        network.counts.forward += 2 if self.symmetric else 1  # a nudged phase is as long as a forward, or longer
        with full_precision(network.device):  # the two states differ by little
            ends = [model.relax(x, free, self.steps, _Force(network, sign * self.beta))]
            ends.append(model.relax(x, free, self.steps, _Force(network, -self.beta)) if self.symmetric else free)
            nudged, other = (model.energy(x, end) for end in ends)
            ((nudged - other) / (distance * first.samples)).backward()

    def _drawn_sign(self, network: Network) -> float:
        return 2.0 * int(torch.randint(2, (), generator=network.generator("perturbation"))) - 1.0


class _Force:
    """-beta dL/dy of each sample, at the output units y (N, n_out)."""

    def __init__(self, network: Network, beta: float) -> None:
        self.loss_of, self.beta = network.loss_of, beta

    def __call__(self, output: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = output.detach().requires_grad_()
            (error,) = torch.autograd.grad(self.loss_of(leaf), leaf)
        return -self.beta * len(output) * error


class _FreePass(TwoPhasePass):
    """The free phase. No gradient of the output itself reaches a parameter."""

    @override
    def join(self, logits: Tensor) -> Tensor:
        """The output as a constant."""
        return super().join(logits.detach())

    @override
    def to_train(self) -> list[nn.Parameter]:
        """All of the model's parameters."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

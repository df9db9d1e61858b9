"""Equilibrium propagation: an energy model at rest, compared with a weakly forced one (Scellier and Bengio 2017)."""

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
    """What the rule requires of a model that settles to rest. Its blocks must be the layers in `hidden`.

    `states` are those of the hidden layers and of the output units. The output units are the model's output (N, n_out).
    """

    hidden: Sequence[nn.Module]

    def relax(self, x: Tensor, states: Sequence[Tensor], steps: int, force: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """The states after `steps` steps down the energy, with a `force` on the output units."""

    def energy(self, x: Tensor, states: Sequence[Tensor]) -> Tensor:
        """The energy summed over samples, differentiable with respect to the parameters."""


class EquilibriumPropagation(TwoPhase):
    """dL/dw := (dE/dw at the nudged state - dE/dw at the free state) / beta, averaged over samples.

    The free state is the result of the model's forward. From there, `steps` steps under the force -beta dL/dy on the
    output units lead to the nudged state. L is the task's loss of each sample. (The paper uses the squared error to the
    one-hot target.) Each step draws the sign of `beta`. With `symmetric`, both signs are run, and the difference of the
    two nudged states over 2 beta is used instead (Laborieux et al. 2021). All weights learn this way, including those
    of the output units.

    Raises DoesNotApplyError unless the model is an energy model. The model's dynamics send states, and so the effect of
    the force, down through W^T. This is weight transport.
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
        """Relax under the force, and leave the difference of the energy gradients in `.grad`."""
        model = network.model
        assert isinstance(model, EnergyModel), "checked in `setup`"
        args, kwargs = first.batch
        x = next(iter((*args, *kwargs.values())))
        free = [*(first.outputs[block.key] for block in network.blocks), first.logits]
        sign = 1.0 if self.symmetric else self._drawn_sign(network)
        distance = sign * self.beta * (2 if self.symmetric else 1)
        network.counts.forward += 2 if self.symmetric else 1  # a nudged phase is as long as a forward, or longer
        with full_precision(network.device):  # the two states differ only slightly
            ends = [model.relax(x, free, self.steps, _Force(network, sign * self.beta))]
            ends.append(model.relax(x, free, self.steps, _Force(network, -self.beta)) if self.symmetric else free)
            nudged, other = (model.energy(x, end) for end in ends)
            ((nudged - other) / (distance * first.samples)).backward()

    def _drawn_sign(self, network: Network) -> float:
        return 2.0 * int(torch.randint(2, (), generator=network.generator("perturbation"))) - 1.0


class _Force:
    """The force -beta dL/dy of each sample on the output units y (N, n_out)."""

    def __init__(self, network: Network, beta: float) -> None:
        self.loss_of, self.beta = network.loss_of, beta

    def __call__(self, output: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = output.detach().requires_grad_()
            (error,) = torch.autograd.grad(self.loss_of(leaf), leaf)
        return -self.beta * len(output) * error


class _FreePass(TwoPhasePass):
    """The free phase. The output's own gradient reaches no parameter."""

    @override
    def join(self, logits: Tensor) -> Tensor:
        """Return the output as a constant."""
        return super().join(logits.detach())

    @override
    def to_train(self) -> list[nn.Parameter]:
        """All of the model's parameters."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

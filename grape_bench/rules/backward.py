"""The FA family: a feedback matrix replaces W in the input gradient of every linear map."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.network.block import PREFIX
from grape_bench.network.passes import Pass
from grape_bench.network.rule import Kept, LearningRule
from grape_bench.network.weights import laid_out
from grape_bench.rules.substitute import MATRIX, Substitute

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.operators import CallSite
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class BackwardFeedback(LearningRule):
    """Base class. `draw` makes the feedback of a weight once, and `matrix` replaces the weight in each backward.

    Weight and bias gradients stay local and exact, and so does every operation that is not a linear map. The backward
    is as sequential as backpropagation's, so `bp_fraction` is 1. A `matrix` that reads the weight, even only its signs,
    is weight transport, and the class must declare it.

    If a weight is used in an operator that this family does not support, the backward would read its true value. Such a
    network is refused, unless `allow_transport` is set.
    """

    weight_transport: ClassVar[bool] = False
    allow_transport = False

    def __init__(self, allow_transport: bool = False) -> None:
        self.allow_transport = allow_transport

    @property
    def cuts(self) -> bool:
        """False: the feedback is in the linear maps, not between blocks."""
        return False

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the feedback, shaped like `weight`: Gaussian with the standard deviation of the weight.

        `generator` is on the CPU. With unit variance or fan-in scaling, the signal explodes in a transformer.
        """
        return torch.randn(weight.shape, generator=generator).to(weight.device).mul_(scale_of(weight))

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """Return the replacement of `weight` in the backward, with its shape. `feedback` is the result of `draw`."""
        return feedback

    def setup(self, network: Network) -> None:
        """Draw the feedback of every weight and store it in a buffer of the same module.

        A tied weight has its feedback at its first module. A derived weight has it at the module that computes it.
        Raises UserError for a weight that no feedback can replace.
        """
        if network.uncovered and not self.allow_transport:
            read = ", ".join(f"{name} ({operator})" for name, operator in network.uncovered.items())
            raise UserError(
                f"the backward pass would read the true weights in operators that {type(self).__name__} cannot change",
                where=read,
                allowed="linear and recurrent layers, convolutions, matmul, einsum and their relatives",
                hint="allow_transport = true, if these weights may be read",
            )
        drawn: set[int] = set()
        for module, name in network.weights:
            weight = getattr(module, name)
            if id(weight) not in drawn:
                drawn.add(id(weight))
                self._keep(network, module, name, weight)
        for (module, index), weight in network.derived_weights.items():
            self._keep(network, module, _derived(index), weight)

    def _keep(self, network: Network, module: nn.Module, name: str, weight: Tensor) -> None:
        if weight.is_complex():
            what = f"a complex weight is computed, and the feedback of {type(self).__name__} is real"
            raise UserError(what, where=type(module).__name__)
        feedback = self.draw(weight, network.generator("feedback"))
        module.register_buffer(f"{PREFIX}{name}_feedback", feedback.detach().to(weight.device, weight.dtype))

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass in which autograd saves the feedback instead of the weights."""
        matrices: dict[int, tuple[Tensor, Tensor]] = {}
        for module, name in network.weights:
            weight = getattr(module, name)
            feedback = module._buffers.get(f"{PREFIX}{name}_feedback")
            if feedback is not None and id(weight) not in matrices:  # a tied weight's is at its first module
                matrices[id(weight)] = weight, self._matrix(weight, feedback)
        computed: dict[CallSite, Tensor] = {}

        def matrix_of_derived(weight: Tensor) -> Tensor | None:
            site = network.call_sites.next()
            feedback = _feedback_at(site)
            if site is not None and feedback is not None and site not in computed:
                computed[site] = self._matrix(weight, feedback)
            return None if site is None else computed.get(site)

        return FeedbackPass(list(matrices.values()), matrix_of_derived, layers_only=network.layers_only)

    def feedback_of(self, network: Network) -> dict[int, Tensor]:
        """`id` of each weight parameter -> its feedback."""
        found: dict[int, Tensor] = {}
        for module, name in network.weights:
            if id(getattr(module, name)) not in found:  # a tied weight has its feedback at its first module
                found[id(getattr(module, name))] = module.get_buffer(f"{PREFIX}{name}_feedback")
        return found

    def feedback_of_derived(self, network: Network) -> Tensor | None:
        """The feedback of the derived weight that is used next. Must be called inside a forward."""
        return _feedback_at(network.call_sites.next())

    def _matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """Return the replacement of `weight`, in the memory layout of `weight`."""
        return laid_out(self.matrix(weight.detach(), feedback), weight)

    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        """How the feedback of each weight is stored."""
        kept = {}
        for name, buffer in network.model.named_buffers():
            if PREFIX in name and name.endswith("_feedback"):
                weight = name.replace(PREFIX, "").removesuffix("_feedback")
                kind = "per weight" if buffer.dim() else "one number"
                kept[weight] = Kept(kind, tuple(buffer.shape), buffer.numel())
        return kept

    def credit(self, network: Network) -> dict[str, Credit]:
        """Exact gradients for the last linear map and everything after it, and the rule's gradients for the rest."""
        return network.credit("rule", "after the last linear map")


def _feedback_at(site: CallSite | None) -> Tensor | None:
    return None if site is None else site[0]._buffers.get(f"{PREFIX}{_derived(site[1])}_feedback")


def _derived(index: int) -> str:
    return f"derived{index}"


def scale_of(weight: Tensor) -> Tensor:
    """The standard deviation of a weight, or 1/sqrt(fan-in) if the weight is initialized to zero.

    A scalar tensor on the weight's device, in float32 or wider.
    """
    wide = torch.promote_types(weight.dtype, torch.float32)
    deviation = weight.detach().to(wide).std(correction=0)
    return torch.where(deviation == 0, 1 / math.sqrt(max(1, math.prod(weight.shape[1:]))), deviation)


class FeedbackPass(Pass):
    """A forward whose linear maps use feedback matrices in their backward.

    `matrices` are the parameters with their matrices. `of_derived` returns the matrix of a derived weight, or None.
    `layers_only` means that weights are used only in linear layers and convolutions.
    """

    intercepts = True

    def __init__(
        self,
        matrices: list[tuple[Tensor, Tensor]],
        of_derived: Callable[[Tensor], Tensor | None],
        *,
        layers_only: bool,
    ) -> None:
        self.matrices, self.of_derived, self.layers_only = matrices, of_derived, layers_only

    @contextmanager
    def around(self) -> Iterator[None]:
        """Intercept the linear maps."""
        matrices = {id(weight): matrix for weight, matrix in self.matrices}
        for weight, matrix in self.matrices:
            setattr(weight, MATRIX, matrix)
        try:
            with Substitute(matrices, self.of_derived, layers_only=self.layers_only):
                yield
        finally:
            for weight, _ in self.matrices:
                delattr(weight, MATRIX)

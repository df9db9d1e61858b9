"""The FA family: a feedback matrix replaces W in every linear map's input gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from grape_bench.network.block import PREFIX
from grape_bench.network.operators import LinearMap, OperatorMode
from grape_bench.network.passes import Pass
from grape_bench.network.recompute import refuse_reentrant
from grape_bench.network.rule import Kept, LearningRule

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.operators import Place
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class BackwardFeedback(LearningRule):
    """Base class: `draw` makes the feedback of a weight once, `matrix` makes what replaces the weight in a pass.

    Weight and bias gradients stay local and exact, and so does everything that is not a linear map. The backward pass
    is as sequential as backpropagation's, so `bp_fraction` is 1. A `matrix` that reads the weight, even only its signs,
    is weight transport, and its class declares it.
    """

    weight_transport: ClassVar[bool] = False

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Feedback shaped like `weight`: Gaussian with the weight's standard deviation, on the CPU.

        At unit or fan-in scale the signal explodes through a transformer.
        """
        return torch.randn(weight.shape, generator=generator).mul_(scale_of(weight))

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """What replaces `weight` in the backward, shaped like it; `feedback` is what `draw` returned."""
        return feedback

    def setup(self, network: Network) -> None:
        """Draw the feedback of every weight and keep it in a buffer beside the weight.

        A tied weight keeps it at its first module. A derived weight keeps it at the module that computes it.
        """
        drawn: set[int] = set()
        for module, name in network.weights:
            weight = getattr(module, name)
            if id(weight) not in drawn:
                drawn.add(id(weight))
                self._keep(network, module, name, weight)
        for (module, index), weight in network.derived_weights.items():
            self._keep(network, module, _derived(index), weight)

    def _keep(self, network: Network, module: nn.Module, name: str, weight: Tensor) -> None:
        feedback = self.draw(weight, network.generator("feedback"))
        module.register_buffer(f"{PREFIX}{name}_feedback", feedback.to(weight.device, weight.dtype))

    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """A pass in which autograd finds the feedback where it saved the weights."""
        matrices: dict[int, Tensor] = {}
        for module, name in network.weights:
            weight = getattr(module, name)
            if id(weight) not in matrices:
                matrices[id(weight)] = self._matrix(weight, module.get_buffer(f"{PREFIX}{name}_feedback"))
        computed: dict[Place, Tensor] = {}

        def matrix_of_derived(weight: Tensor) -> Tensor | None:
            place = network.places.next()
            feedback = _feedback_at(place)
            if place is not None and feedback is not None and place not in computed:
                computed[place] = self._matrix(weight, feedback)
            return None if place is None else computed.get(place)

        return FeedbackPass(matrices, matrix_of_derived)

    def feedback_of(self, network: Network, weight: Tensor) -> tuple[Tensor, Tensor] | None:
        """The parameter that `weight` is or views, and its feedback; called within a forward, for derived weights."""
        parameter = weight if weight._base is None else weight._base
        for module, name in network.weights:
            if getattr(module, name) is parameter:
                return parameter, module.get_buffer(f"{PREFIX}{name}_feedback")
        feedback = _feedback_at(network.places.next())
        return None if feedback is None else (weight, feedback)

    def _matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """What replaces `weight`, with the memory layout of `weight`."""
        matrix = self.matrix(weight.detach(), feedback)
        if matrix.stride() == weight.stride():
            return matrix
        return weight.new_empty_strided(weight.size(), weight.stride()).copy_(matrix)

    def kept_feedback(self, network: Network) -> dict[str, Kept]:
        """How each weight's feedback is kept."""
        kept = {}
        for name, buffer in network.model.named_buffers():
            if PREFIX in name and name.endswith("_feedback"):
                weight = name.replace(PREFIX, "").removesuffix("_feedback")
                kind = "per weight" if buffer.dim() else "one number"
                kept[weight] = Kept(kind, tuple(buffer.shape), buffer.numel())
        return kept

    def credit(self, network: Network) -> dict[str, Credit]:
        """Exact from the last linear map on, the rule's before it."""
        return network.credit("rule", "after the last linear map")


def _feedback_at(place: Place | None) -> Tensor | None:
    return None if place is None else place[0]._buffers.get(f"{PREFIX}{_derived(place[1])}_feedback")


def _derived(index: int) -> str:
    return f"derived{index}"


def scale_of(weight: Tensor) -> float:
    """The standard deviation of a weight; 1/sqrt(fan-in) for one that starts at zero."""
    return weight.detach().float().std(correction=0).item() or 1 / math.sqrt(weight[0].numel())


class FeedbackPass(Pass):
    """A forward whose linear maps use feedback matrices in their backward.

    `matrices` maps the `id` of a parameter to its matrix. `of_derived` returns the matrix of a derived weight, or None.
    """

    def __init__(self, matrices: dict[int, Tensor], of_derived: Callable[[Tensor], Tensor | None]) -> None:
        self.matrices, self.of_derived = matrices, of_derived

    def around(self) -> AbstractContextManager[object]:
        """The mode that intercepts the linear maps."""
        return _Substitute(self.matrices, self.of_derived)


class _Substitute(OperatorMode):
    """Lets autograd save B in place of W: the operator's own backward then uses it for the input gradient.

    The weight gradient does not need W, so it stays exact, and nothing is computed twice.
    """

    def __init__(self, matrices: dict[int, Tensor], of_derived: Callable[[Tensor], Tensor | None]) -> None:
        super().__init__()
        self.matrices, self.of_derived = matrices, of_derived

    @torch.compiler.disable  # the hooks on what autograd saves would be lost
    def linear_map(self, call: LinearMap) -> Tensor:
        """The model's own product, with B saved for its backward."""
        weight = call.weight
        if not torch.is_grad_enabled():
            refuse_reentrant("a linear map")
        parameter = weight if weight._base is None else weight._base
        matrix = self.matrices.get(id(parameter))
        if matrix is None:
            parameter, matrix = weight, self.of_derived(weight)
        if matrix is None:
            return call.apply(call.input, weight, call.bias)
        if torch.is_autocast_enabled(weight.device.type):  # it would cast W to a copy with another id
            dtype = torch.get_autocast_dtype(weight.device.type)
            matrix = same_view(matrix, weight, parameter).to(dtype)
            parameter = weight = weight.to(dtype)
        with _saved_as(matrix, parameter):
            return call.apply(call.input, weight, call.bias)


def same_view(matrix: Tensor, view: Tensor, weight: Tensor) -> Tensor:
    """The view of `matrix` that `view` (a transpose, a chunk) is of `weight`; both have the same strides."""
    return matrix.as_strided(view.size(), view.stride(), view.storage_offset() - weight.storage_offset())


def _saved_as(matrix: Tensor, weight: Tensor) -> saved_tensors_hooks:
    """While active, autograd saves every view of `weight` as the same view of `matrix`.

    Only the innermost hooks see what is saved. So these pass every tensor on to the outer hooks (those of activation
    checkpointing count the tensors).
    """
    # Example: y = F.linear(x, W), x (N, 256), W (10, 256). Autograd saves x for dL/dW, and W for dL/dx.
    #   pack(x) -> x;  pack(W) -> B, the feedback in the layout of W;  pack(W.t()) -> B.t(), the same view of B
    #   backward: dL/dW = e^T x is exact; dL/dx = e @ B (N, 256) instead of e @ W. Nothing is computed twice.
    storage = weight.untyped_storage().data_ptr()
    outer_pack, outer_unpack = torch._C._autograd._top_saved_tensors_default_hooks(False) or (_same, _same)

    def pack(saved: Tensor) -> tuple[Any, bool]:
        held = outer_pack(saved)
        if saved.untyped_storage().data_ptr() == storage:
            return same_view(matrix, saved, weight), True
        return held, False

    def unpack(packed: tuple[Any, bool]) -> Tensor:
        held, is_matrix = packed
        tensor: Tensor = held if is_matrix else outer_unpack(held)
        return tensor

    return saved_tensors_hooks(pack, unpack)


def _same(saved: Tensor) -> Tensor:
    return saved

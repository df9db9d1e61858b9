"""The FA family: a feedback matrix replaces W in the input gradient of every linear map."""

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
    from grape_bench.network.operators import CallSite
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class BackwardFeedback(LearningRule):
    """Base class. `draw` makes the feedback of a weight once, and `matrix` replaces the weight in each backward.

    Weight and bias gradients stay local and exact. Everything that is not a linear map stays exact too. The backward
    pass is as sequential as backpropagation's, so `bp_fraction` is 1. A `matrix` that reads the weight, even only its
    signs, is weight transport, and its class must declare it.
    """

    weight_transport: ClassVar[bool] = False

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the feedback on the CPU, shaped like `weight`: Gaussian with the standard deviation of the weight.

        With unit variance or fan-in scaling, the signal explodes in a transformer.
        """
        return torch.randn(weight.shape, generator=generator).mul_(scale_of(weight))

    def matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """Return what replaces `weight` in the backward, shaped like it. `feedback` is what `draw` returned."""
        return feedback

    def setup(self, network: Network) -> None:
        """Draw the feedback of every weight and keep it in a buffer of the same module.

        The feedback of a tied weight is kept at its first module, that of a derived weight where it is computed.
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
        """Return a pass in which autograd saves the feedback instead of the weights."""
        matrices: dict[int, Tensor] = {}
        for module, name in network.weights:
            weight = getattr(module, name)
            if id(weight) not in matrices:
                matrices[id(weight)] = self._matrix(weight, module.get_buffer(f"{PREFIX}{name}_feedback"))
        computed: dict[CallSite, Tensor] = {}

        def matrix_of_derived(weight: Tensor) -> Tensor | None:
            site = network.call_sites.next()
            feedback = _feedback_at(site)
            if site is not None and feedback is not None and site not in computed:
                computed[site] = self._matrix(weight, feedback)
            return None if site is None else computed.get(site)

        return FeedbackPass(matrices, matrix_of_derived)

    def feedback_of(self, network: Network, weight: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the parameter that `weight` is or views, and its feedback. Must be called within a forward."""
        parameter = weight if weight._base is None else weight._base
        for module, name in network.weights:
            if getattr(module, name) is parameter:
                return parameter, module.get_buffer(f"{PREFIX}{name}_feedback")
        feedback = _feedback_at(network.call_sites.next())
        return None if feedback is None else (weight, feedback)

    def _matrix(self, weight: Tensor, feedback: Tensor) -> Tensor:
        """Return what replaces `weight`, in the memory layout of `weight`."""
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
        """Exact gradients from the last linear map on, and the rule's gradients before it."""
        return network.credit("rule", "after the last linear map")


def _feedback_at(site: CallSite | None) -> Tensor | None:
    return None if site is None else site[0]._buffers.get(f"{PREFIX}{_derived(site[1])}_feedback")


def _derived(index: int) -> str:
    return f"derived{index}"


def scale_of(weight: Tensor) -> float:
    """The standard deviation of a weight, or 1/sqrt(fan-in) if the weight starts at zero."""
    return weight.detach().float().std(correction=0).item() or 1 / math.sqrt(weight[0].numel())


class FeedbackPass(Pass):
    """A forward whose linear maps use feedback matrices in their backward.

    `matrices` maps the `id` of a parameter to its matrix. `of_derived` returns the matrix of a derived weight, or None.
    """

    def __init__(self, matrices: dict[int, Tensor], of_derived: Callable[[Tensor], Tensor | None]) -> None:
        self.matrices, self.of_derived = matrices, of_derived

    def around(self) -> AbstractContextManager[object]:
        """Return the mode that intercepts the linear maps."""
        return _Substitute(self.matrices, self.of_derived)


class _Substitute(OperatorMode):
    """Makes autograd save B instead of W, so the operator's own backward uses B for the input gradient.

    The weight gradient does not need W, so it stays exact. Nothing is computed twice.
    """

    def __init__(self, matrices: dict[int, Tensor], of_derived: Callable[[Tensor], Tensor | None]) -> None:
        super().__init__()
        self.matrices, self.of_derived = matrices, of_derived

    @torch.compiler.disable  # compiled code would lose the hooks on saved tensors
    def linear_map(self, call: LinearMap) -> Tensor:
        """Compute the model's own product, and save B for its backward."""
        weight = call.weight
        if not torch.is_grad_enabled():
            refuse_reentrant("a linear map")
        parameter = weight if weight._base is None else weight._base
        matrix = self.matrices.get(id(parameter))
        if matrix is None:
            parameter, matrix = weight, self.of_derived(weight)
        if matrix is None:
            return call.apply(call.input, weight, call.bias)
        if torch.is_autocast_enabled(weight.device.type):  # autocast would make a copy of W with another id
            dtype = torch.get_autocast_dtype(weight.device.type)
            matrix = same_view(matrix, weight, parameter).to(dtype)
            parameter = weight = weight.to(dtype)
        with _saved_as(matrix, parameter):
            return call.apply(call.input, weight, call.bias)


def same_view(matrix: Tensor, view: Tensor, weight: Tensor) -> Tensor:
    """Return the view of `matrix` that corresponds to `view` of `weight`: its transpose, or a chunk of it.

    `matrix` and `weight` must have the same strides.
    """
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

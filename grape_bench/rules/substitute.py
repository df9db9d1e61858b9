"""Replace weights by feedback matrices in the backward of any operator that multiplies an activation by a weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from typing_extensions import override

from grape_bench.network import recurrent
from grape_bench.network.block import PREFIX
from grape_bench.network.operators import LinearMap
from grape_bench.network.recompute import refuse_reentrant
from grape_bench.network.weights import CONCERNED, WeightMode, is_transformed, memory, same_view
from grape_bench.rules.compiled_maps import compiled_map, no_view

Known = tuple[Tensor, Tensor]
"""A weight, and its matrix in the same memory layout. The operator may take a view of the weight."""


MATRIX = f"{PREFIX}matrix"
"""The attribute of a parameter that holds its matrix during a forward.

Compiled code that looked up a matrix by `id` would be valid for only one parameter. Code that reads an attribute is
shared by all blocks.
"""


class Substitute(WeightMode):
    """Makes autograd save B instead of W, so that the operator's own backward uses B for the input gradient.

    The weight gradient does not need W, so it stays exact. `matrices` maps the `id` of a parameter to its matrix.
    `of_derived` returns the matrix of a derived weight, or None. `layers_only` means that weights are used only in
    linear layers and convolutions.
    """

    def __init__(
        self, matrices: dict[int, Tensor], of_derived: Callable[[Tensor], Tensor | None], *, layers_only: bool = False
    ) -> None:
        super().__init__(matrices)
        self.matrices, self.of_derived, self.layers_only = matrices, of_derived, layers_only
        self._recurrent: dict[int, Known] = {}

    @override
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.compiler.is_compiling():
            return self._compiled(func, types, args, kwargs or {})
        if (
            func is F.linear
            and not kwargs
            and _is_plain(*args)
            and (matrix := self.matrices.get(id(args[1]))) is not None
        ):
            return _linear(*args, matrix)
        return super().__torch_function__(func, types, args, kwargs)

    def _compiled(self, func: Any, types: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """The path that the compiler traces. If it saw the `id` of an activation, it would recompile in each step."""
        if getattr(func, "__name__", "") not in CONCERNED:
            return func(*args, **kwargs)
        if len(args) > 1 and isinstance(args[1], nn.Parameter) and torch.is_grad_enabled():
            matrix, run = getattr(args[1], MATRIX, None), compiled_map(func, args, kwargs)
            if matrix is not None and run is not None:
                return run(matrix)
        if self.layers_only and not any(isinstance(one, nn.Parameter) for one in (*args, *kwargs.values())):
            return func(*args, **kwargs)
        return self._uncompiled(func, types, args, kwargs)

    @torch.compiler.disable  # the operator itself still runs; the graph ends before it
    def _uncompiled(self, func: Any, types: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        return self.__torch_function__(func, types, args, kwargs)

    def known(self, weight: Tensor) -> Known | None:
        """The parameter (or its copy, or the derived weight) and its feedback matrix."""
        if id(weight) in self._recurrent:
            return self._recurrent[id(weight)]
        base = weight if weight._base is None else weight._base
        if id(base) in self.matrices:
            return base, self.matrices[id(base)]
        if source := self.copies.source(base):
            parameter, replay = source
            return base, replay(self.matrices[id(parameter)])
        matrix = self.of_derived(weight)
        return None if matrix is None else (weight, matrix)

    @torch.compiler.disable  # compiled code would lose the hooks on saved tensors
    def weighted(self, call: LinearMap, known: Known) -> Tensor:
        """Compute the model's own product, and save B for its backward."""
        weight, (parameter, matrix) = call.weight, known
        if not torch.is_grad_enabled():
            refuse_reentrant("a linear map")
        device = weight.device.type
        if _autocasts(device):
            dtype = torch.get_autocast_dtype(device)  # autocast itself would copy W, and the copy has another id
            matrix = same_view(matrix, weight, parameter).to(dtype)
            parameter = weight = weight.to(dtype)
        return computed(call, weight, parameter, matrix)

    @torch.compiler.disable
    def recurrent(self, func: Any, args: tuple[Any, ...]) -> Any:
        """Write out the layer, so that each of its weights is used in a linear map."""
        weights = recurrent.matrices(func.__name__, args)
        known = {id(weight): found for weight in weights if (found := self.known(weight)) is not None}
        if not known:
            return func(*args)
        self._recurrent = known
        try:
            with self:
                return recurrent.written_out(func.__name__, args)
        finally:
            self._recurrent = {}


def _autocasts(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _is_plain(x: Any, weight: Any, bias: Any = None) -> bool:
    """Whether PyTorch computes this layer with `addmm`, and no hook reads or changes what autograd saves."""
    return (
        bias is not None
        and x.dim() > 1
        and x.is_contiguous()
        and weight.is_contiguous()
        and weight.requires_grad
        and x.dtype == weight.dtype
        and torch.is_grad_enabled()
        and not _autocasts(x.device.type)
        and torch._C._autograd._top_saved_tensors_default_hooks(False) is None
        and not torch._C._len_torch_function_stack()
        and not is_transformed()
    )


@torch.compiler.disable
def _linear(x: Tensor, weight: Tensor, bias: Tensor, matrix: Tensor) -> Tensor:
    output: Tensor = _Linear.apply(x, weight, bias, matrix)
    return output


class _Linear(torch.autograd.Function):
    """A linear layer with B instead of W in its backward: PyTorch's own operations, with less Python overhead."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(x, matrix)
        ctx.weight = weight
        return no_view(F.linear(x, weight, bias))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, matrix = ctx.saved_tensors
        rows = gradient if gradient.dim() == 2 else gradient.reshape(-1, gradient.shape[-1])
        if torch.is_grad_enabled():  # a second derivative, which autograd would send to W
            matrix = _InPlaceOf.apply(matrix, ctx.weight)
        below = rows.mm(matrix).view(x.shape) if ctx.needs_input_grad[0] else None
        return below, rows.t().mm(x if x.dim() == 2 else x.view(-1, x.shape[-1])), rows, None


class _InPlaceOf(torch.autograd.Function):
    """(B, W) -> B. Backward: the gradient goes to W."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, weight: Tensor) -> Tensor:
        return matrix.view_as(matrix)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, gradient


@dataclass
class _Saved:
    """A tensor saved by autograd: what the outer hooks returned for it, and the tensor that replaces it."""

    tensor: Tensor | None
    held: Any
    matrix: Tensor | None = None


def computed(call: LinearMap, weight: Tensor, parameter: Tensor, matrix: Tensor) -> Tensor:
    """Return `call` with `weight`, a view of `parameter`, and use the same view of `matrix` in its backward.

    Only the innermost hooks see what is saved. So these pass every tensor on to the outer hooks. (Those of activation
    checkpointing count the tensors.)
    """
    # Example: y = F.linear(x, W), x (N, 256), W (10, 256). Autograd saves x for dL/dW, and W for dL/dx.
    #   pack(x) -> x;  pack(W) -> B, the feedback in the layout of W;  pack(W.t()) -> B.t(), the same view of B
    #   backward: dL/dW = e^T x is exact; dL/dx = e @ B (N, 256) instead of e @ W. Nothing is computed twice.
    # An operator may also save its own copy of W or x (einsum does), and we cannot tell which is which. It then runs
    # again on B, and what it saves the second time replaces what it saved the first time.
    outer_pack, outer_unpack = torch._C._autograd._top_saved_tensors_default_hooks(False) or (_same, _same)
    entries: list[_Saved] = []

    def pack(saved: Tensor) -> _Saved:
        entries.append(_Saved(saved, outer_pack(saved)))
        return entries[-1]

    def unpack(entry: _Saved) -> Tensor:
        tensor: Tensor = outer_unpack(entry.held) if entry.matrix is None else entry.matrix
        return tensor

    with saved_tensors_hooks(pack, unpack):
        output = call.apply(call.input, weight, call.bias)
    inputs = {memory(x) for x in (call.input, *call.others)}
    strange = False
    for entry in entries:
        assert entry.tensor is not None
        if memory(entry.tensor) == memory(parameter):
            entry.matrix = same_view(matrix, entry.tensor, parameter)
        strange |= memory(entry.tensor) not in inputs | {memory(parameter)}
        entry.tensor = None
    if strange:
        again = _saved_by(call, same_view(matrix, weight, parameter).detach().requires_grad_(weight.requires_grad))
        for entry, saved in zip(entries, again, strict=True):
            if memory(saved) not in inputs:
                entry.matrix = saved
    return output


def _saved_by(call: LinearMap, weight: Tensor) -> list[Tensor]:
    """The tensors that autograd saves when `call` runs with another weight."""
    saved: list[Tensor] = []
    with saved_tensors_hooks(lambda tensor: saved.append(tensor.detach()), lambda nothing: nothing):
        call.apply(call.input, weight, call.bias)
    return saved


def _same(saved: Tensor) -> Tensor:
    return saved

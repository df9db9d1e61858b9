"""Find weights wherever they are used: in linear operators, in products, and in recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any
from weakref import ref

import torch
from torch import Tensor

from grape_bench.network import recurrent
from grape_bench.network.operators import OPERATORS, LinearMap, OperatorMode, is_linear
from grape_bench.network.products import PRODUCTS, Product, product_of

_COPIES = {"__getitem__", "index_select", "contiguous", "clone", "reshape", "flatten", "repeat", "repeat_interleave"}
_CASTS = {"to", "type", "type_as", "float", "double", "half", "bfloat16"}
CONCERNED = OPERATORS | PRODUCTS | _COPIES | _CASTS | recurrent.STEPS.keys() | recurrent.CELLS.keys()
"""The names of the functions that `WeightMode` intercepts."""

Replay = Callable[[Tensor], Tensor]
"""Repeats the operations that were applied to a parameter, on a tensor with the parameter's shape and strides."""


class Copies:
    """The tensors that are copies of (parts of) parameters, and how each was made.

    A view references its parameter, but a copy does not: the experts `W[ids]` of a mixture, or `W.to(dtype)`.
    """

    def __init__(self, parameters: Collection[int]) -> None:
        self.parameters = parameters
        self._made: dict[int, tuple[ref[Tensor], Tensor, Replay]] = {}

    def source(self, tensor: Tensor) -> tuple[Tensor, Replay] | None:
        """The parameter that `tensor` is, views or copies, and how it was made. None for other tensors."""
        base = tensor if tensor._base is None else tensor._base
        if id(base) in self.parameters:
            return base, lambda matrix: same_view(matrix, tensor, base)
        held = self._made.get(id(base))
        if held is None or held[0]() is not base:
            return None
        _, parameter, replay = held
        return parameter, lambda matrix: same_view(laid_out(replay(matrix), base), tensor, base)

    def is_copy(self, tensor: Tensor) -> bool:
        """Whether `tensor` shares no memory with a parameter."""
        base = tensor if tensor._base is None else tensor._base
        return id(base) not in self.parameters

    def note(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Remember `result` if `func` copied it from a parameter.

        A matrix row that was looked up by index is an embedding, which is an activation. A stack of weights has at
        least three dimensions.
        """
        name = getattr(func, "__name__", "")
        if name not in _COPIES | _CASTS or not isinstance(result, Tensor) or not isinstance(args[0], Tensor):
            return
        known = self.source(args[0])
        looked_up = name in ("__getitem__", "index_select") and known is not None and known[0].dim() < 3
        if known is None or looked_up or result._base is not None or result is args[0]:
            return
        parameter, before = known
        self._made[id(result)] = ref(result), parameter, lambda matrix: func(before(matrix), *args[1:], **kwargs)


class WeightMode(OperatorMode):
    """While active, `weighted` computes every call in which a weight is multiplied by an activation.

    Products of two activations (attention scores) stay unchanged, and so does everything inside `torch.vmap`.
    `parameters` are the `id`s of the parameters that can be weights.
    """

    def __init__(self, parameters: Collection[int]) -> None:
        super().__init__()
        self.copies = Copies(parameters)

    def known(self, weight: Tensor) -> Any | None:
        """The data attached to `weight`, or None if it is not a weight. Called once per candidate tensor."""
        raise NotImplementedError

    def weighted(self, call: LinearMap, known: Any) -> Tensor:
        """Compute `call`. `known` is the data attached to its weight."""
        raise NotImplementedError

    def recurrent(self, func: Any, args: tuple[Any, ...]) -> Any:
        """Compute `func(*args)`, a recurrent layer or cell with weights among its `args`."""
        raise NotImplementedError

    def linear_map(self, call: LinearMap) -> Tensor:
        """Compute `call`."""
        known = self.known(call.weight)
        if known is None:
            return call.apply(call.input, call.weight, call.bias)
        return self.weighted(call, known)

    def product(self, product: Product) -> Tensor:
        """Compute `product`. If exactly one factor is a weight, `weighted` computes it."""
        known = [self.known(factor) for factor in product.factors]
        index = self.only_weight(product.factors, known)
        if index is None:
            return product.apply(product.factors, product.bias)
        return self.weighted(product.with_weight(index), known[index])

    def only_weight(self, factors: Sequence[Tensor], known: Sequence[Any]) -> int | None:
        """The index of the factor that is the weight, or None if none or several are."""
        weights = [index for index, found in enumerate(known) if found is not None]
        if len(weights) > 1:  # next to a whole parameter, a part looked up in one counts as an activation
            weights = [index for index in weights if not self.copies.is_copy(factors[index])]
        return weights[0] if len(weights) == 1 else None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name not in CONCERNED or is_transformed():
            return func(*args, **kwargs)
        if recurrent.is_written_out(name, args):
            return self.recurrent(func, args)
        product = None if is_linear(func, args, kwargs) else product_of(func, args, kwargs)
        if product is not None:
            return self.product(product)
        result = super().__torch_function__(func, types, args, kwargs)
        self.copies.note(func, args, kwargs, result)
        return result


def is_transformed() -> bool:
    """Whether the operators run inside `torch.vmap` or another transform of `torch.func`."""
    return torch._C._functorch.maybe_current_level() is not None


def memory(tensor: Tensor) -> int:
    """A number shared by tensors with the same memory. Not an address, because tensors on the meta device have none."""
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else 0


def same_view(matrix: Tensor, view: Tensor, weight: Tensor) -> Tensor:
    """Return the view of `matrix` that corresponds to `view` of `weight`, such as its transpose, or a chunk of it.

    `matrix` and `weight` must have the same strides.
    """
    return matrix.as_strided(view.size(), view.stride(), view.storage_offset() - weight.storage_offset())


def laid_out(matrix: Tensor, like: Tensor) -> Tensor:
    """`matrix` in the memory layout of `like`."""
    if matrix.stride() == like.stride() and matrix.storage_offset() == 0:
        return matrix
    return like.new_empty_strided(like.size(), like.stride(), dtype=matrix.dtype).copy_(matrix)

"""Products of tensors, one of which may be a weight: `@`, matmul, mm, bmm, einsum, bilinear and similar functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from grape_bench.network.operators import LinearMap


@dataclass(frozen=True)
class Product:
    """A call that is linear in each of its `factors`. `apply(factors, bias)` computes what the model asked for."""

    factors: tuple[Tensor, ...]
    bias: Tensor | None
    apply: Callable[[tuple[Tensor, ...], Tensor | None], Tensor]

    def with_weight(self, index: int) -> LinearMap:
        """The same call, with factor number `index` as its weight."""
        first, *others = (factor for place, factor in enumerate(self.factors) if place != index)

        def apply(x: Tensor, weight: Tensor, bias: Tensor | None, *rest: Tensor) -> Tensor:
            factors = [x, *(rest or others)]
            factors.insert(index, weight)
            return self.apply(tuple(factors), bias)

        return LinearMap(first, self.factors[index], self.bias, apply, tuple(others))


def product_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Product | None:
    """`func(*args, **kwargs)` as a product, or None if it is not one."""
    read = _KINDS.get(getattr(func, "__name__", ""))
    if read is None or kwargs.get("out") is not None:
        return None
    product = read(func, *_positional(args, kwargs))
    return product if product and all(isinstance(factor, Tensor) for factor in product.factors) else None


_POSITIONS = {"self": 0, "input": 0, "a": 0, "other": 1, "mat2": 1, "vec": 1, "tensor": 1, "b": 1}


def _positional(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a product of two, with keyword factors moved to their positions."""
    named = sorted((place, name) for name, place in _POSITIONS.items() if name in kwargs and place >= len(args))
    left = {name: value for name, value in kwargs.items() if name not in {name for _, name in named}}
    return [*args, *(kwargs[name] for _, name in named)], left


def _pair(func: Any, args: list[Any], kwargs: dict[str, Any]) -> Product | None:
    """(a, b): matmul, mm, bmm, grouped_mm and others."""
    if len(args) < 2:
        return None
    rest = args[2:]
    return Product((args[0], args[1]), None, lambda factors, _: func(*factors, *rest, **kwargs))


def _einsum(func: Any, args: list[Any], kwargs: dict[str, Any]) -> Product | None:
    """(equation, factors)."""
    if len(args) < 2 or not isinstance(args[0], str):
        return None
    factors = args[1] if isinstance(args[1], (list, tuple)) else args[1:]
    if len(factors) < 2:
        return None
    return Product(tuple(factors), None, lambda given, _: func(args[0], *given))


def _bilinear(func: Any, args: list[Any], kwargs: dict[str, Any]) -> Product | None:
    """(x, y, W, bias)."""
    if len(args) < 3:
        return None
    bias = args[3] if len(args) > 3 else kwargs.get("bias")
    return Product((args[0], args[1], args[2]), bias, lambda factors, given: func(*factors, given))


def _added(func: Any, args: list[Any], kwargs: dict[str, Any]) -> Product | None:
    """(bias, a, b): addmm, baddbmm. The factors must be given by position."""
    if len(args) != 3 or not isinstance(args[0], Tensor):
        return None

    def apply(factors: tuple[Tensor, ...], bias: Tensor | None) -> Tensor:
        result: Tensor = (
            factors[0].matmul(factors[1]) * kwargs.get("alpha", 1) if bias is None else func(bias, *factors, **kwargs)
        )
        return result

    return Product((args[1], args[2]), args[0], apply)


_PAIRS = ("matmul", "__matmul__", "__rmatmul__", "linalg_matmul", "mm", "bmm", "mv", "dot", "inner", "tensordot")
_GROUPED = ("grouped_mm", "_grouped_mm", "grouped_mm_fallback")
_KINDS: dict[str, Callable[[Any, list[Any], dict[str, Any]], Product | None]] = {
    **dict.fromkeys((*_PAIRS, *_GROUPED), _pair),
    **dict.fromkeys(("addmm", "addmv", "baddbmm"), _added),
    "einsum": _einsum,
    "bilinear": _bilinear,
}
PRODUCTS = frozenset(_KINDS)

"""Sparse matrix products and segment sums on dual numbers. PyTorch has no forward derivative for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from grape_bench.network.custom_tangents import carries_tangent
from grape_bench.network.trees import map_tensors

_PRODUCTS = ("mm", "matmul", "__matmul__", "__rmatmul__", "_sparse_mm", "mv", "bmm", "smm", "hspmm", "linear")
_LINEAR = frozenset([*_PRODUCTS, "addmm", "_sparse_addmm", "addmv", "baddbmm", "sspaddmm"])
_SCATTER = ("scatter_reduce", "scatter_reduce_")
_SEGMENTS = ("segment_reduce", "_segment_reduce")


def derivative_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any] | None:
    """The replacement of `func` on these dual numbers, or None if PyTorch's own derivative works.

    Raises NotImplementedError, with the function's name, if there is none.
    """
    name = getattr(func, "__name__", "")
    if name in _SEGMENTS:
        return _segments if carries_tangent([args, kwargs]) else None
    if name in _SCATTER:
        if any(isinstance(arg, str) and arg == "prod" for arg in [*args, *kwargs.values()]):
            raise NotImplementedError(f"{name} with reduce='prod'")  # its tangent would be lost
        return None
    if not any(isinstance(arg, Tensor) and arg.layout is not torch.strided for arg in args):
        return None
    if not carries_tangent([args, kwargs]):
        return None
    if name not in _LINEAR:
        raise NotImplementedError(f"{name} of a sparse and a dense tensor")
    if name == "_sparse_mm" and _reduction(args, kwargs) not in ("sum", "mean"):
        raise NotImplementedError(f"sparse.mm with reduce={_reduction(args, kwargs)!r}")
    return _linear


def _reduction(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[2] if len(args) > 2 else kwargs.get("reduce", "sum")


def _linear(func: Any, *args: Any, **kwargs: Any) -> Tensor:
    """`func` is linear in its dense tensors jointly, so its tangent is `func` of their tangents."""

    def primal(x: Tensor) -> Tensor:
        return x if _constant(x) else forward_ad.unpack_dual(x).primal

    def tangent(x: Tensor) -> Tensor:
        if _constant(x):
            return x
        moved = forward_ad.unpack_dual(x).tangent
        return torch.zeros_like(x) if moved is None else moved

    outputs = [func(*map_tensors(part, args), **map_tensors(part, kwargs)) for part in (primal, tangent)]
    dual: Tensor = forward_ad.make_dual(*outputs)
    return dual


def _constant(x: Tensor) -> bool:
    return x.layout is not torch.strided or not x.is_floating_point()


def _segments(func: Any, data: Tensor, reduce: str, **options: Any) -> Tensor:
    """The sum, mean, maximum or minimum of consecutive rows of `data` (rows, ...), on dual numbers.

    Equal maxima share the derivative, as in PyTorch's backward.
    """
    where = options.get("offsets") if options.get("lengths") is None else options["lengths"]
    if options.get("axis", 0) != 0 or reduce == "prod" or where is None or where.dim() != 1:
        raise NotImplementedError(f"segment_reduce with reduce={reduce!r} over such segments")
    data, moved = forward_ad.unpack_dual(data)
    output = func(data, reduce, **options)
    if reduce in ("sum", "mean"):
        tangent = func(moved, reduce, **{**options, "initial": 0})
    else:
        lengths = where.diff() if options.get("lengths") is None else where
        rows = torch.repeat_interleave(lengths)
        won = (data == output[rows]).to(data.dtype)
        winners = torch.zeros_like(output).index_add_(0, rows, won).clamp_(min=1)
        tangent = torch.zeros_like(output).index_add_(0, rows, won * moved) / winners
    dual: Tensor = forward_ad.make_dual(output, tangent)
    return dual

"""Which axis of an activation holds channels. The others are samples and positions: time, height, width or tokens."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from grape_bench.network import recurrent
from grape_bench.network.graph import Node
from grape_bench.network.trees import tensors

_CONVOLUTIONS = {f"conv{kind}{axes}d": axes for kind in ("", "_transpose") for axes in (1, 2, 3)}
_LINEAR = {"linear", "addmm", "bilinear", "embedding", "embedding_bag", *recurrent.CELLS, *recurrent.STEPS}
_PRODUCTS = {"matmul", "__matmul__", "linalg_matmul", "mm"}
_NORMS, _LAST_NORMS = {"batch_norm", "instance_norm", "group_norm"}, {"layer_norm", "rms_norm"}
_REDUCTIONS = {"mean", "sum", "amax"}


@dataclass(frozen=True)
class Operator:
    """A call of an operator: its name, its second argument or `dim` as a tuple, and the tensors that it reads.

    Each tensor comes with its node before the call, because the operator may write in place.
    """

    name: str
    axes: tuple[Any, ...]
    given: list[tuple[Tensor, Node | None]]

    @classmethod
    def of(cls, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operator:
        """The call `func(*args, **kwargs)`, which is still to come."""
        axes = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", 0))
        given = [(one, one.grad_fn) for one in tensors([args, kwargs])]
        return cls(getattr(func, "__name__", ""), tuple(axes) if isinstance(axes, (tuple, list)) else (axes,), given)


class Channels:
    """Follows the channel axis through one forward, by autograd node.

    A convolution puts channels before its positions. A linear map, an embedding and a recurrent layer put them last.
    Views such as permute move the axis, and so do stacks and means. Other operators keep it. If nothing else tells it,
    a norm over channels does.
    """

    # Example, a channels-last ConvNeXt block: conv (N, C, H, W) -> 1, permute to (N, H, W, C) -> 3, linear -> 3,
    #   permute to (N, C, H, W) -> 1.
    # Example: flatten(1) of (N, C, H, W) mixes channels and positions, so the axis is unknown.

    def __init__(self) -> None:
        self._known: dict[Node, tuple[int, int | None]] = {}  # the number of axes, and which of them holds channels

    def note(self, operator: Operator, result: Any) -> None:
        """Record the axis in each tensor of the `result`."""
        for made in tensors(result):
            node = made.grad_fn
            if node is not None and node not in self._known:
                self._known[node] = made.dim(), self._axis_of(made, operator)

    def axis(self, node: Node, axes: int) -> int | None:
        """The channel axis of the activation of `node`, which has this number of `axes`, or None if it is unknown.

        Nothing is recorded of a custom function. It counts as an operator that keeps the axis.
        """
        found, stack, seen = set[int](), [node], {node}
        while stack:
            one = stack.pop()
            dims, axis = self._known.get(one, (axes, None))
            if axis is not None and dims == axes:
                found.add(axis)
            elif one not in self._known:
                below = {read for read, _ in one.next_functions if read is not None} - seen
                seen |= below
                stack += below
        return _only(found)

    def _axis_of(self, made: Tensor, operator: Operator) -> int | None:
        name, given = operator.name, operator.given
        if name in _CONVOLUTIONS:
            return made.dim() - 1 - _CONVOLUTIONS[name]
        if name in _LINEAR or (name in _PRODUCTS and given[-1][0].dim() == 2):
            return made.dim() - 1
        read = [(tensor, self.axis(node, tensor.dim())) for tensor, node in given if node is not None]
        carried = {_carried(axis, tensor, made, operator) for tensor, axis in read if axis is not None}
        axis = _only(carried - {None})
        if axis is None and name in _NORMS:
            return 1
        if axis is None and name in _LAST_NORMS and len(operator.axes) == 1:
            return made.dim() - 1
        return axis


def guessed(shape: tuple[int, ...], positions: tuple[int, ...]) -> int:
    """The channel axis if the trace cannot tell it: the first for maps (C, H, W), the last for (T, C) and (H, W, C).

    `shape` is that of one sample. If the output's `positions` are all axes but the last or the first, that one is it.
    """
    if positions and shape[:-1] == positions:
        return len(shape) - 1
    if positions and shape[1:] == positions:
        return 0
    return 0 if len(shape) > 2 and (shape[1] == shape[2] or shape[0] != shape[1]) else len(shape) - 1


def _carried(axis: int, read: Tensor, made: Tensor, operator: Operator) -> int | None:
    """The axis of `made` with what `axis` of `read` holds, or None. The `operator` made it from `read`."""
    # Example: (N, 16, 40) has strides 640, 40, 1. Its transpose (N, 40, 16) has the stride 40 on axis 2.
    # Example: reshape (N, 7, 7, 16) to (N, 49, 16). A step along the 16 is a step of 1 number in both: axis 2.
    base = made._base if made.layout is torch.strided else None
    viewed = base is not None and base is (read if read._base is None else read._base)
    if made.shape == read.shape and (not viewed or made.stride() == read.stride()):
        return axis
    if viewed or operator.name in ("reshape", "flatten"):
        before, after = (one.stride() if viewed else _contiguous(one) for one in (read, made))
        places = {place for place, size in enumerate(made.shape) if size > 1 and after[place] == before[axis]}
        return _only(places) if read.shape[axis] > 1 else None
    if operator.name == "stack":
        return axis + int(axis >= operator.axes[0] % made.dim())
    if operator.name in _REDUCTIONS and 0 < made.dim() == read.dim() - len(operator.axes):
        gone = {one % read.dim() for one in operator.axes}
        return None if axis in gone else axis - sum(one < axis for one in gone)
    return axis if made.dim() == read.dim() else None


def _contiguous(tensor: Tensor) -> tuple[int, ...]:
    """The strides of a contiguous tensor of this shape."""
    return tuple(prod(tensor.shape[axis + 1 :]) for axis in range(tensor.dim()))


def _only(found: set[int] | set[int | None]) -> int | None:
    return next(iter(found)) if len(found) == 1 else None

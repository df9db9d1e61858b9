"""Intercept the linear maps of any model at the operator that uses the weight, without swapping modules."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class LinearMap:
    """One call of a linear operator: `apply(input, weight, bias)` computes what the model asked for.

    `apply` is linear in `input` and in `weight`, and adds `bias` (nothing if it is None). A bilinear operator has
    `others`, the inputs besides `input`. Replacements for them can be passed to `apply` after the bias. `settings` is
    text: the function and its other arguments, if it is a linear layer or a convolution.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None
    apply: Callable[..., Tensor]
    others: tuple[Tensor, ...] = ()
    convolution: bool = False
    settings: str = ""


class OperatorMode(TorchFunctionMode):
    """While active, `linear_map` computes every linear map, including functional calls and attention projections."""

    def linear_map(self, call: LinearMap) -> Tensor:
        """Compute `call`. This one runs it as it is."""
        raise NotImplementedError

    def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_linear(func, args, kwargs):
            return self.linear_map(_LINEAR[func](func, *args, **kwargs))
        if func is F.multi_head_attention_forward:
            with self:
                return _own_body(func)(*args, **kwargs)
        return func(*args, **kwargs)


def is_linear(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the call has its weight at a fixed position. `addmm` has, unless its second factor is an activation."""
    return func in _LINEAR and (func is not torch.addmm or (not kwargs and _is_parameter(args[2])))


def _is_parameter(tensor: Tensor) -> bool:
    return isinstance(tensor if tensor._base is None else tensor._base, nn.Parameter)


def _linear(
    func: Any, input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **options: Any
) -> LinearMap:
    return LinearMap(
        input,
        weight,
        bias,
        lambda x, w, b: func(x, w, b, *rest, **options),
        convolution=func is not F.linear,
        settings=f"{func.__name__}{rest}{options}",
    )


def _addmm(func: Any, bias: Tensor, input: Tensor, weight: Tensor) -> LinearMap:
    """`torch.addmm(bias, x, W)`, as Hugging Face's Conv1D calls it."""
    return LinearMap(input, weight, bias, lambda x, w, b: x @ w if b is None else func(b, x, w))


_LINEAR: dict[Any, Callable[..., LinearMap]] = {
    F.linear: _linear,
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d, torch.conv1d, torch.conv2d, torch.conv3d), _linear),
    **dict.fromkeys((F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), _linear),
    torch.addmm: _addmm,
}


OPERATORS = frozenset(function.__name__ for function in (*_LINEAR, F.multi_head_attention_forward))
"""The names of the functions that `OperatorMode` intercepts."""


def _own_body(func: Any) -> Any:
    """A Python operator that does not dispatch to the active mode, so that the operators inside it are intercepted."""
    never = dict.fromkeys(("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"), _never)
    return types.FunctionType(
        func.__code__, {**func.__globals__, **never}, func.__name__, func.__defaults__, func.__closure__
    )


def _never(*_: Any) -> bool:
    return False


CallSite = tuple[nn.Module, int]
"""Where a linear map with a derived weight is computed: the module, and the number of such maps before it in the same
call of that module."""


class CallSites:
    """Identifies derived weights (weight norm, weight standardization, parametrizations) by where they are used.

    A derived weight is a new tensor in every forward, so its `id` is useless. Its call site works: a module that is
    called twice uses its derived weights in the same order.
    """

    def __init__(self) -> None:
        self._at_work: list[list[Any]] = []

    def watch(self, module: nn.Module) -> list[Any]:
        """Register the counting hooks on `module`. Returns their handles."""
        return [
            module.register_forward_pre_hook(self._enter),
            module.register_forward_hook(self._leave, always_call=True),
        ]

    def next(self) -> CallSite | None:
        """The call site of the current linear map, or None outside the watched modules."""
        if not self._at_work:
            return None
        module, count = self._at_work[-1]
        self._at_work[-1][1] += 1
        return module, count

    @torch.compiler.disable
    def _enter(self, module: nn.Module, _: Any) -> None:
        self._at_work.append([module, 0])

    @torch.compiler.disable
    def _leave(self, *_: Any) -> None:
        if self._at_work:
            self._at_work.pop()

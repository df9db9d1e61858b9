"""Linear layers and convolutions with feedback matrices that `torch.compile` can keep in its graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_CONVOLUTIONS = {F.conv1d, F.conv2d, F.conv3d, torch.conv1d, torch.conv2d, torch.conv3d}


def compiled_map(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[Tensor], Tensor] | None:
    """A function of B that computes `func(*args, **kwargs)`, with B instead of the weight in its backward.

    None if `func` is not a linear layer or convolution on a batch, or if its padding is a string.
    """
    if func is F.linear:
        return lambda matrix: _linear(matrix, *args, **kwargs)
    if func in _CONVOLUTIONS and args[0].dim() == args[1].dim():
        options = _options(*args[3:], **{name: value for name, value in kwargs.items() if name != "bias"})
        bias = args[2] if len(args) > 2 else kwargs.get("bias")
        if not isinstance(options[1], str):
            return lambda matrix: _convolution(matrix, args[0], args[1], bias, options)
    return None


def _options(stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> tuple[Any, Any, Any, int]:
    return stride, padding, dilation, groups


def _linear(matrix: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    output: Tensor = _Linear.apply(*_cast(x, weight, bias, matrix))
    return output


def _convolution(matrix: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None, options: tuple[Any, ...]) -> Tensor:
    sizes = x.dim() - 2
    stride, padding, dilation = ([one] * sizes if isinstance(one, int) else list(one) for one in options[:3])
    output: Tensor = _Convolution.apply(*_cast(x, weight, bias, matrix), stride, padding, dilation, options[3])
    return output


def _cast(*given: Tensor | None) -> tuple[Tensor | None, ...]:
    """Cast the arguments as autocast would for the operator, because autocast is off in a backward."""
    device = next(one.device.type for one in given if one is not None)
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return given
    dtype = torch.get_autocast_dtype(device)
    return tuple(None if one is None else one.to(dtype) for one in given)


def no_view(output: Tensor) -> Tensor:
    """The output of `F.linear` without autograd's mark of a view, which forbids the model to change it in place."""
    return output if output.dim() == 2 else torch.ops.aten._unsafe_view(output, output.shape)


class _Linear(torch.autograd.Function):
    """(x, W, b, B) -> x W^T + b for x (N, ..., in). Backward: e B, and the exact gradients of W and b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(x, matrix)
        return no_view(F.linear(x, weight, bias))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, matrix = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        below = rows.mm(matrix).view(x.shape) if ctx.needs_input_grad[0] else None
        of_weight = rows.t().mm(x.reshape(-1, x.shape[-1])) if ctx.needs_input_grad[1] else None
        return below, of_weight, rows.sum(0) if ctx.needs_input_grad[2] else None, None


class _Convolution(torch.autograd.Function):
    """(x, W, b, B, options) -> the convolution. Backward: PyTorch's, with B for W in the input gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, matrix: Tensor, *options: Any) -> Tensor:
        ctx.save_for_backward(x, matrix)
        ctx.options, ctx.bias_sizes = options, None if bias is None else list(bias.shape)
        stride, padding, dilation, groups = options
        output: Tensor = torch.ops.aten.convolution(
            x, weight, bias, stride, padding, dilation, False, [0] * (x.dim() - 2), groups
        )
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, matrix = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.options
        still = [0] * (x.dim() - 2)
        wanted = list(ctx.needs_input_grad[:3])
        geometry = (ctx.bias_sizes, stride, padding, dilation, False, still, groups)
        found = torch.ops.aten.convolution_backward(gradient, x, matrix, *geometry, wanted)
        return *found, None, None, None, None, None

"""Layer and batch normalization of dual numbers: the same tangents as PyTorch's, with half as many operations.

PyTorch's own derivative centers the input three times and multiplies the zero tangents of the weight and the bias. On a
GPU each of these operations is one kernel launch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad


def derivative_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Tensor] | None:
    """The replacement of `func` on these arguments. None to use PyTorch's own derivative, or if there is no tangent."""
    replacement = _REPLACEMENTS.get(func)
    if replacement is None or not args:
        return None
    x, *rest = args
    fixed = [one for one in (*rest, *kwargs.values()) if isinstance(one, Tensor)]
    tangent = forward_ad.unpack_dual(x).tangent
    if tangent is None or tangent._is_zerotensor() or _autocasts(x):
        return None
    constant = all(isinstance(one, nn.Parameter) or forward_ad.unpack_dual(one).tangent is None for one in fixed)
    return replacement if constant and all(one.dtype == x.dtype for one in fixed) else None


def _autocasts(x: Tensor) -> bool:
    kind = x.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`F.layer_norm` of a dual number (..., *normalized_shape)."""
    x, moved = forward_ad.unpack_dual(input)
    output, mean, inverse = torch.native_layer_norm(x, normalized_shape, weight, bias, eps)
    axes = range(x.dim() - len(normalized_shape), x.dim())
    return _dual(output, _tangent(x - mean, moved, inverse, list(axes)), weight)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` of a dual number (N, C, ...)."""
    x, moved = forward_ad.unpack_dual(input)
    output, mean, inverse, *_ = torch._batch_norm_impl_index(
        x, weight, bias, running_mean, running_var, training, momentum, eps, torch.backends.cudnn.enabled
    )
    channels = [1, -1, *[1] * (x.dim() - 2)]
    if training:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        tangent = _tangent(x - mean.view(channels), moved, inverse.view(channels), axes)
    else:
        assert running_var is not None, "evaluation reads the running statistics"
        tangent = moved * (1 / torch.sqrt(running_var + eps)).view(channels)
    return _dual(output, tangent, None if weight is None else weight.view(channels))


def _tangent(centered: Tensor, moved: Tensor, inverse: Tensor, axes: list[int]) -> Tensor:
    """The tangent of (x - mean) / std along `axes`, with PyTorch's order of operations, so that it is bit-identical.

    `centered` is x - mean, `moved` is the tangent of x, and `inverse` is 1 / std.
    """
    # d(1/std) = -(1/std)^3 mean(dx (x - mean));  dy = (dx - mean dx) / std + (x - mean) d(1/std)
    count = 1
    for axis in axes:
        count *= centered.shape[axis]
    shifted = moved - moved.mean(axes, keepdim=True)
    steeper = (shifted * centered).mul_(inverse.pow(3).neg_()).sum(axes, keepdim=True).div_(count)
    return shifted.mul_(inverse).add_(centered.mul_(steeper))


def _dual(output: Tensor, tangent: Tensor, weight: Tensor | None) -> Tensor:
    """The dual number of the normalized tensor. Only the weight scales its tangent, and the bias does not change it."""
    dual: Tensor = forward_ad.make_dual(output, tangent if weight is None else tangent.mul_(weight))
    return dual


_REPLACEMENTS: dict[Any, Callable[..., Tensor]] = {F.layer_norm: _layer_norm, F.batch_norm: _batch_norm}

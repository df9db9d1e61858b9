"""Backpropagation with windowed attention gradients: a query sends no gradient to keys that are far from it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.operators import LinearMap, OperatorMode
from grape_bench.network.passes import Pass
from grape_bench.network.rule import LearningRule

if TYPE_CHECKING:
    from grape_bench.network.network import Network
    from grape_bench.network.reach import Credit
    from grape_bench.network.trace import Batch


class BPWindow(LearningRule):
    """The backward of attention drops dL/ds_ij and P_ij dL/do_i for keys j over `window` positions from query i.

    s are the scores, P the attention weights and o the outputs, so neither the score nor the value of a far key gets a
    gradient. The forward is exact, as in Launay et al. (2020). The window is that of Longformer (Beltagy et al. 2020),
    applied only to gradients. Everything else is BP. The rule intercepts `scaled_dot_product_attention` calls with as
    many keys as queries. It refuses networks without such a call, and dropout on attention weights.
    """

    # Example: 4 tokens, window 1. Output 3 = sum_j P_3j v_j. Its gradient reaches v_2, v_3, and the scores 3-2, 3-3.
    #   v_0, v_1 and the scores 3-0, 3-1 are constants.

    def __init__(self, window: int = 8) -> None:
        if window < 0:
            raise ValueError("window must be at least 0")
        self.window = window

    @property
    @override
    def cuts(self) -> bool:
        """False: the rule needs no cuts between blocks."""
        return False

    @override
    def setup(self, network: Network) -> None:
        """Refuse a network without attention."""
        if not network.attention:
            raise DoesNotApplyError("this network makes no call of scaled_dot_product_attention")

    @override
    def credit(self, network: Network) -> dict[str, Credit]:
        """The rule's gradients below the last block's output, exact gradients above it."""
        return network.credit("rule", "above the cuts")

    @override
    def open_pass(self, network: Network, batch: Batch) -> Pass:
        """Return a pass whose attention has windowed gradients."""
        return _WindowedPass(self.window)


class _WindowedPass(Pass):
    def __init__(self, window: int) -> None:
        self.mode = _WindowedAttention(window)

    @override
    def around(self) -> AbstractContextManager[object]:
        """Intercept attention."""
        return self.mode

    @override
    def again(self) -> Pass:
        """The pass with which activation checkpointing repeats a part of this forward."""
        return self


class _WindowedAttention(OperatorMode):
    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    @override
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.scaled_dot_product_attention:
            return super().__torch_function__(func, types, args, kwargs)
        exact: Tensor = func(*args, **(kwargs or {}))
        if not exact.requires_grad or args[0].shape[-2] != args[1].shape[-2]:
            return exact
        near = windowed(self.window, *args, **(kwargs or {}))
        return exact.detach() + (near - near.detach())  # the value of the model's own kernel, with this gradient

    @override
    def linear_map(self, call: LinearMap) -> Tensor:
        """Run `call` as it is."""
        return call.apply(call.input, call.weight, call.bias)


def windowed(
    window: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention (..., T, d) whose gradient reaches only keys and values within `window` positions of the query.

    The arguments are those of `scaled_dot_product_attention`. Raises DoesNotApplyError for dropout.
    """
    if dropout_p:
        raise DoesNotApplyError("the weights of attention have dropout, whose mask the rule cannot see")
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = scores.masked_fill(~torch.ones_like(scores, dtype=torch.bool).tril(), -torch.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    here = torch.arange(scores.shape[-1], device=scores.device)
    near = (here[:, None] - here).abs() <= window
    weights = torch.where(near, scores, scores.detach()).softmax(-1)
    return (weights * near) @ value + (weights * ~near) @ value.detach()

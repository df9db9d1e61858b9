"""Fast hooks on modules and gradients. On a small network, Python takes as long as the computation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from grape_bench.network.passes import Pass

Hook = TypeVar("Hook", bound=Callable[..., Any])


class Passing(Protocol):
    """An object with hooks: a seam during a pass."""

    _pass: Pass | None


def hook(method: Hook) -> Hook:
    """Make a hook that neither the compiler nor a pass that intercepts operators treats as part of the model.

    The compiler would freeze the behavior of the first run.
    """

    @wraps(method)
    def run(seam: Passing, *args: Any) -> Any:
        if seam._pass is None or not seam._pass.intercepts:
            return method(seam, *args)
        with torch._C.DisableTorchFunction():
            return method(seam, *args)

    return cast("Hook", torch.compiler.disable(run))


def watch_gradient(tensor: Tensor, hook: Callable[[Tensor], None]) -> None:
    """`tensor.register_hook(hook)` without a handle to remove the hook. Making the handle takes half of the time."""
    if tensor._backward_hooks is None and tensor.grad_fn is not None:
        tensor._backward_hooks = OrderedDict(((-1, hook),))
        tensor.grad_fn._register_hook_dict(tensor)
    else:
        tensor.register_hook(hook)


runs_in_this_backward = torch._C._will_engine_execute_node
"""Whether the current backward reaches a node of the graph."""


def leaves_graph_alone(pass_: Pass) -> bool:
    """Whether gradients cross the cuts only in a backward from the output. Then one hook there can count them."""
    return type(pass_).cut is Pass.cut and type(pass_).join is Pass.join

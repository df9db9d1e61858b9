"""Custom autograd functions in forward mode: as the operations that their forward consists of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.autograd import Function, forward_ad
from torch.autograd.function import FunctionCtx

from grape_bench.network.trees import activations


@contextmanager
def unfolded_functions() -> Iterator[None]:
    """While active, a custom function without a `jvp` runs its forward on dual numbers as plain code.

    For passes without a graph, in which its backward has no part: the derivative is that of what the forward computes.
    Raises NotImplementedError at a function whose forward loses the tangent (a kernel of its own).
    """
    own = vars(Function).get("apply")  # a class method here, or inherited from C

    def apply(cls: type[Function], *args: Any, **kwargs: Any) -> Any:
        native: Any = getattr(super(Function, cls), "apply") if own is None else own.__get__(None, cls)  # noqa: B009
        if cls.jvp is not Function.jvp or not _carries_tangent(args):
            return native(*args, **kwargs)
        return _unfolded(cls, args, kwargs)

    Function.apply = classmethod(apply)
    try:
        yield
    finally:
        if own is None:
            del Function.apply
        else:
            Function.apply = own


def _unfolded(cls: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if cls.setup_context is not Function.setup_context:
        output = cls.forward(*args, **kwargs)
    else:
        ctx: Any = FunctionCtx()
        ctx.needs_input_grad = (False,) * len(args)
        output = cls.forward(ctx, *args, **kwargs)
    if not _carries_tangent(output):
        raise NotImplementedError(f"{cls.__name__}, whose forward hides its operations and which has no jvp")
    return output


def _carries_tangent(tree: Any) -> bool:
    return any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in activations(tree))

"""Run the custom autograd functions of a model on dual numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.autograd.function import FunctionCtx

from grape_bench.network.custom_tangents import Custom, Tangents, carries_tangent, same_randomness, scales


@contextmanager
def custom_functions(tangents: Tangents) -> Iterator[None]:
    """While active, `tangents` carries dual numbers through custom autograd functions that have no `jvp`.

    If the model stored a function's `apply` (`spike = Spike.apply`), only PyTorch's request for its `jvp` is
    intercepted.
    """
    own = vars(Function).get("apply")  # a class method here, or inherited from C

    def apply(cls: type[Function], *args: Any, **kwargs: Any) -> Any:
        native: Any = getattr(super(Function, cls), "apply") if own is None else own.__get__(None, cls)  # noqa: B009
        if cls.jvp is not Function.jvp or not carries_tangent([args, kwargs]):
            return native(*args, **kwargs)
        return tangents.through(
            Custom(
                cls,
                cls.__name__,
                lambda *given: native(*given, **kwargs),
                lambda *given: _unfolded(cls, given, kwargs),
            ),
            args,
        )

    jvp = _replaced(Function, "jvp", staticmethod(_stored_jvp))
    with _replaced(Function, "apply", classmethod(apply)), jvp, _replaced(FunctionCtx, "save_for_backward", _save):
        yield


@contextmanager
def _replaced(owner: type, name: str, value: Any) -> Iterator[None]:
    """Temporarily set an attribute of a class, which may be an inherited one."""
    own = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _save(ctx: Any, *tensors: Tensor | None) -> None:
    """`save_for_backward` that also stores the tensors where `_stored_jvp` finds them."""
    ctx.to_save = tensors
    ctx.grape_bench_saved = tensors


def _stored_jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
    """The tangent of a function called through a stored `apply`: its backward, applied to the input tangents."""
    cls = ctx._forward_cls
    given = [tangent for tangent in tangents if tangent is not None]
    seen = _Context(ctx, len(tangents))

    def backward(gradient: Tensor) -> list[Tensor]:
        returned = cls.backward(seen, gradient.clone())
        parts = returned if isinstance(returned, tuple) else (returned,)
        chosen = [part for part, tangent in zip(parts, tangents, strict=False) if tangent is not None]
        return [torch.zeros_like(x) if part is None else part for part, x in zip(chosen, given, strict=True)]

    with same_randomness(given[0].device):
        fits = all(x.shape == given[0].shape for x in given) and scales(backward, given[0]) is not False
    if not fits:
        raise NotImplementedError(f"{cls.__name__}, whose `apply` the model stored (write {cls.__name__}.apply(x))")
    return torch.stack([backward(x)[i] for i, x in enumerate(given)]).sum(0)


class _Context:
    """Stands in for the context that a backward reads, before PyTorch has made the saved tensors available."""

    def __init__(self, ctx: Any, inputs: int) -> None:
        self.__dict__.update(ctx.__dict__)
        kept = self.__dict__.pop("grape_bench_saved", ())
        self.saved_tensors = tuple(x if x is None else forward_ad.unpack_dual(x).primal for x in kept)
        self.needs_input_grad = (True,) * inputs


def _unfolded(cls: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if cls.setup_context is not Function.setup_context:
        return cls.forward(*args, **kwargs)
    ctx: Any = FunctionCtx()
    ctx.needs_input_grad = (False,) * len(args)
    return cls.forward(ctx, *args, **kwargs)

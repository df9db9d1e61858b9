"""The tangent of a custom autograd function, with the same derivative as in backpropagation."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from grape_bench.network.trees import activations


@dataclass(frozen=True)
class Custom:
    """A function that defines its own backward but no forward derivative.

    `identity` distinguishes it from others. `native` calls it as the model does. `unfolded` runs its forward as plain
    code on dual numbers, if that is possible.
    """

    identity: Hashable
    name: str
    native: Callable[..., Any]
    unfolded: Callable[..., Any]


class Tangents:
    """Tangents of custom functions in one pass.

    - *Element-wise* (the backward is g -> g * s(x), as in surrogate gradients): s(x) * dx, which is the function's own
      backward of dx. So the forward may be a step function, for example.
    - *Others*: the derivative of the operations in the forward, if the backward agrees with it on a random vector.
    - Raises NotImplementedError, with the function's name, if neither works.

    A function that takes code as an argument (activation checkpointing, say) runs as its operations if they have
    tangents.
    """

    # Example: spikes = (v > 0), backward g -> g / (1 + |v|)^2, on the dual number (v, dv), both (N, 256).
    #   probe: backward(2^k g) == 2^k backward(g) for random g and k per element -> element-wise
    #   result: ((v > 0), dv / (1 + |v|)^2)

    def __init__(self) -> None:
        self._elementwise: set[Hashable] = set()

    def through(self, custom: Custom, args: tuple[Any, ...]) -> Any:
        """Apply the function to `args`, some of which are dual numbers. Returns dual numbers."""
        if _holds_code(args):
            output = custom.unfolded(*args)
            if _moves(output):
                return output
        key, random = _key(custom, args), _random_state(args)
        run = _run(custom, args, trusted=key in self._elementwise)
        if run is not None and (key in self._elementwise or self._is_elementwise(key, run)):
            return run.dual()
        _restore(random)
        output = custom.unfolded(*args)
        if not carries_tangent(output):
            raise NotImplementedError(f"{custom.name}, whose forward hides its operations and which has no jvp")
        if run is not None and not _agree(run, output):
            raise NotImplementedError(f"{custom.name}, whose backward is not the derivative of its forward")
        return output

    def _is_elementwise(self, key: Hashable, run: _Run) -> bool:
        found = _elementwise(run)
        if found and key is not None:
            self._elementwise.add(key)
        return found is not False


@dataclass(frozen=True)
class _Run:
    """One call of a function with a graph: its outputs, and its inputs with their tangents."""

    outputs: list[Tensor]
    inputs: list[Tensor]
    tangents: list[Tensor]

    def backward(self, *gradients: Tensor) -> list[Tensor]:
        """Run the function's backward: a gradient per output -> a gradient per input, zeros if there is none."""
        with same_randomness(self.inputs[0].device):
            return self._backward(*gradients)

    def _backward(self, *gradients: Tensor) -> list[Tensor]:
        copies = [gradient.clone() for gradient in gradients]  # a backward may write to its gradient
        found = torch.autograd.grad(self.outputs, self.inputs, copies, retain_graph=True, allow_unused=True)
        pairs = zip(found, self.inputs, strict=True)
        return [torch.zeros_like(x) if gradient is None else gradient for gradient, x in pairs]

    def dual(self) -> Tensor:
        """The output with sum_i backward(dx_i)_i as its tangent."""
        (output,) = self.outputs
        if not output.requires_grad:
            return output.detach()  # a constant for backpropagation
        parts = [self._backward(tangent.to(output.dtype))[i] for i, tangent in enumerate(self.tangents)]
        dual: Tensor = forward_ad.make_dual(output.detach(), torch.stack(parts).sum(0).to(output.dtype))
        return dual


def _run(custom: Custom, args: tuple[Any, ...], *, trusted: bool) -> _Run | None:
    """Call the function once with a graph. Returns None if that is not possible and the function is not `trusted`."""
    moving = [i for i, arg in enumerate(args) if isinstance(arg, Tensor) and carries_tangent(arg)]
    if len(moving) != sum(1 for _ in _duals(args)):
        return None  # some are inside lists
    primals, tangents = zip(*(forward_ad.unpack_dual(args[i]) for i in moving), strict=True)
    try:
        run = _graph(custom, args, dict(zip(moving, primals, strict=True)), tangents)
        if _broadcast(run):
            primals, tangents = (torch.broadcast_tensors(*tree, run.outputs[0])[:-1] for tree in (primals, tangents))
            run = _graph(custom, args, dict(zip(moving, primals, strict=True)), tangents)
    except RuntimeError:
        if trusted:
            raise
        return None
    return run


def _broadcast(run: _Run) -> bool:
    """Whether smaller inputs are broadcast to the shape of the only output."""
    if len(run.outputs) != 1:
        return False
    shape = run.outputs[0].shape
    try:
        fits = torch.broadcast_shapes(shape, *(x.shape for x in run.inputs)) == shape
    except RuntimeError:
        return False
    return fits and any(x.shape != shape for x in run.inputs)


def _graph(custom: Custom, args: tuple[Any, ...], primals: dict[int, Tensor], tangents: Any) -> _Run:
    # Clones, because some functions write to their input.
    leaves = {i: primal.clone(memory_format=torch.contiguous_format).requires_grad_() for i, primal in primals.items()}
    with torch.enable_grad():
        outputs = custom.native(*(leaves.get(i, arg) for i, arg in enumerate(args)))
    return _Run(list(activations(outputs)), list(leaves.values()), list(tangents))


def _elementwise(run: _Run) -> bool | None:
    """Whether the backward multiplies each element by its own factor. None if all observed factors were zero."""
    if len(run.outputs) != 1 or any(x.shape != run.outputs[0].shape for x in run.inputs):
        return False
    (output,) = run.outputs
    return scales(run.backward, output) if output.requires_grad else None


def scales(backward: Callable[[Tensor], list[Tensor]], like: Tensor) -> bool | None:
    """Whether scaling each element of a random gradient (shaped `like`) by 2^k does the same to the result.

    None if the result is zero. For tensors without data ("meta"), only the shapes are compared.
    """
    if like.is_meta:
        return True
    generator = torch.Generator(like.device).manual_seed(0)
    gradient = torch.randn(like.shape, generator=generator, device=like.device).to(like.dtype)
    exponents = torch.randint(-6, 7, like.shape, generator=generator, device=like.device)
    signs = torch.randint(0, 2, like.shape, generator=generator, device=like.device) * 2 - 1
    factor = (signs * 2.0**exponents).to(like.dtype)  # products with powers of two are exact
    try:
        plain, scaled = backward(gradient), backward(gradient * factor)
    except RuntimeError:
        return False
    for a, b in zip(plain, scaled, strict=True):
        if a.shape != like.shape:
            return False
        if not torch.allclose(a * factor.to(a.dtype), b, rtol=32 * torch.finfo(a.dtype).eps, atol=0, equal_nan=True):
            return False
    return True if any(bool(a.any()) for a in plain) else None


def _agree(run: _Run, output: Any) -> bool:
    """Whether <u, d output> = <backward(u), d input> for a random u.

    True if the backward cannot be called, or if the tensors have no data.
    """
    found = [forward_ad.unpack_dual(tensor).tangent for tensor in activations(output)]
    if len(found) != len(run.outputs) or not all(made.requires_grad and not made.is_meta for made in run.outputs):
        return True
    generator = torch.Generator(run.inputs[0].device).manual_seed(0)
    # Small, so that a backward that clips its gradient does not clip here.
    us = [1e-3 * torch.randn(y.shape, generator=generator, device=y.device).to(y.dtype) for y in run.outputs]
    try:
        backs = run.backward(*us)
    except RuntimeError:
        return True
    ahead = [(u * t).double().flatten() for u, t in zip(us, found, strict=True) if t is not None]
    behind = [(g * t).double().flatten() for g, t in zip(backs, run.tangents, strict=True)]
    a, b = torch.cat(ahead), torch.cat(behind)
    tolerance = torch.finfo(run.outputs[0].dtype).eps ** 0.5 * (a.norm() + b.norm())
    return bool((a.sum() - b.sum()).abs() <= tolerance)


def carries_tangent(tree: Any) -> bool:
    """Whether a tensor in `tree` is a dual number."""
    return next(_duals(tree), None) is not None


def _duals(tree: Any) -> Iterator[Tensor]:
    dense = (tensor for tensor in activations(tree) if tensor.layout is torch.strided)  # a sparse one cannot be checked
    return (tensor for tensor in dense if forward_ad.unpack_dual(tensor).tangent is not None)


def _moves(tree: Any) -> bool:
    tangents = (forward_ad.unpack_dual(tensor).tangent for tensor in _duals(tree))
    return any(tangent.is_meta or bool(tangent.any()) for tangent in tangents)


def _holds_code(tree: Any) -> bool:
    if isinstance(tree, (tuple, list)):
        return any(_holds_code(item) for item in tree)
    return callable(tree) and not isinstance(tree, (Tensor, type))


def _key(custom: Custom, args: tuple[Any, ...]) -> Hashable:
    """The key of a cached answer for a function: itself and its settings. None if they cannot be compared."""
    key = custom.identity, *(type(arg) if isinstance(arg, Tensor) else arg for arg in args)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _random_state(args: tuple[Any, ...]) -> tuple[Tensor, Tensor | None, torch.device]:
    device = next(_duals(args)).device
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None, device


def _restore(state: tuple[Tensor, Tensor | None, torch.device]) -> None:
    cpu, cuda, device = state
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda, device)


@contextmanager
def same_randomness(device: torch.device) -> Iterator[None]:
    """Make a backward that draws random numbers draw the same numbers in every probe."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield

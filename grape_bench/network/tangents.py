"""Forward-mode derivatives: how a change of a block's output moves the network's output."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.autograd.function import FunctionCtx
from torch.nn.attention import SDPBackend, sdpa_kernel

from grape_bench.errors import UserError
from grape_bench.network import recurrent
from grape_bench.network.block import Block
from grape_bench.network.operators import LinearMap, OperatorMode
from grape_bench.network.passes import Pass
from grape_bench.network.trees import activations

with warnings.catch_warnings(), forward_ad.dual_level():
    # PyTorch compiles 26 MB of formulas at the first dual number. Do it here, not within a job's measured training.
    warnings.simplefilter("ignore", FutureWarning)
    forward_ad.make_dual(torch.zeros(()), torch.zeros(()))

Perturb = Callable[[Block, Tensor], Tensor | None]
"""(block, its output) -> the direction in which the output moves, shaped like it, or None if it does not move."""


@contextmanager
def same_dropout(device: torch.device) -> Iterator[None]:
    """Make attention draw the same dropout masks as the tangent pass.

    The tangent pass needs the math back-end. On CUDA the fused back-ends draw other masks from the same seed. On a CPU,
    attention with dropout always runs on the math back-end.
    """
    with sdpa_kernel(SDPBackend.MATH) if device.type == "cuda" else nullcontext():
        yield


_ONE_AT_A_TIME = threading.RLock()
"""PyTorch has one forward-mode level per process, so the tangent passes of several threads take turns."""


class TangentPass(Pass):
    """One forward on dual numbers, with a direction p_l injected at each block's output.

    After the pass, `logits` is the output (N, ..., n_out) as a leaf for a loss. `tangent` is sum_l J_l p_l, of the same
    shape, and zero where no direction had an effect. No activation outlives its use.
    """

    # Example: blocks h1, h2 (N, 256), logits (N, 10).  cut(h1): h1 becomes the dual number (h1, p1)
    #   block 2 maps it to (h2, J p1);  cut(h2): (h2, J p1 + p2)
    #   join: logits (N, 10) and tangent = J_1 p1 + J_2 p2 (N, 10), from a single forward

    def __init__(self, perturb: Perturb) -> None:
        self.perturb = perturb
        self._moved = False
        self.logits: Tensor | None = None
        self.tangent: Tensor | None = None

    @contextmanager
    def around(self) -> Iterator[None]:
        """Disable the graph and compiled code, which loses tangents. Use an attention back-end with a derivative."""
        eager = torch.compiler.set_stance("force_eager")
        duals = torch.no_grad(), forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH), unfolded_functions()
        with ExitStack() as stack:
            for context in (_ONE_AT_A_TIME, eager, *duals, _TwoProducts()):
                stack.enter_context(context)
            try:
                yield
            except NotImplementedError as error:
                raise UserError(f"the model uses an operator without a forward-mode derivative: {error}") from error

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """The output with p_l (N, *shape) added to the tangent that it carries from earlier blocks."""
        direction = self.perturb(block, output)
        if direction is None:
            return output
        primal, carried = forward_ad.unpack_dual(output)
        self._moved = True
        moved: Tensor = forward_ad.make_dual(primal, direction if carried is None else carried + direction)
        return moved

    def join(self, logits: Tensor) -> Tensor:
        """Read sum_l J_l p_l off the output. The graph starts here."""
        primal, tangent = forward_ad.unpack_dual(logits)
        if self._moved and tangent is None:
            raise RuntimeError("the tangent was lost before the output (by a compiled or in-place operator?)")
        self.tangent = torch.zeros_like(primal) if tangent is None else tangent
        torch.set_grad_enabled(True)
        self.logits = primal.detach().requires_grad_()
        return self.logits


_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_CELLS = {"lstm_cell": "lstm", "gru_cell": "gru"}


class _TwoProducts(OperatorMode):
    """Linear maps of dual numbers as two products. Native forward AD adds a third, with a zero weight tangent."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _CELLS and _fused(args[0]):
            with self:
                return recurrent.step(_CELLS[name], *args, **(kwargs or {}))
        if name in recurrent.CELLS and _fused(args[0]) and recurrent.takes(args):
            with self:
                return recurrent.layers(name, args)
        if name in _RECURRENT:
            # The kernels of oneDNN and cuDNN have no forward derivative. PyTorch's own CPU kernels have one.
            with torch.backends.mkldnn.flags(enabled=False), _without_cudnn():
                return func(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)

    def linear_map(self, call: LinearMap) -> Tensor:
        """(W x + b, W dx) as a dual number."""
        if forward_ad.unpack_dual(call.weight).tangent is not None:
            return call.apply(call.input, call.weight, call.bias)
        primal, tangent = forward_ad.unpack_dual(call.input)
        output = call.apply(primal, call.weight, call.bias)
        if tangent is None:
            return output
        dual: Tensor = forward_ad.make_dual(output, call.apply(tangent, call.weight, None))
        return dual


def _fused(x: Any) -> bool:
    """Whether PyTorch computes a recurrent layer of `x` with a fused kernel, which has no forward derivative."""
    return isinstance(x, Tensor) and x.is_cuda


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """Turn cuDNN off. `torch.backends.cudnn.flags` would also reset its other settings."""
    enabled = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = enabled


@contextmanager
def unfolded_functions() -> Iterator[None]:
    """While active, a custom autograd function without a `jvp` runs its forward on dual numbers as plain code.

    Only for passes without a graph: the tangent is the derivative of the forward, and the function's own backward is
    ignored. Raises NotImplementedError for a function whose forward loses the tangent (a kernel of its own).
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

"""Forward-mode derivatives: how the network's output responds to a change of a block's output."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from grape_bench.errors import UserError
from grape_bench.network import norms, recurrent, sparse
from grape_bench.network.block import Block
from grape_bench.network.custom_functions import custom_functions
from grape_bench.network.custom_tangents import Custom, Tangents, carries_tangent
from grape_bench.network.operators import LinearMap, OperatorMode
from grape_bench.network.passes import Pass
from grape_bench.network.trees import map_tensors

with warnings.catch_warnings(), forward_ad.dual_level():
    # PyTorch compiles 26 MB of formulas at the first dual number. Do it here, not during a job's measured training.
    warnings.simplefilter("ignore", FutureWarning)
    forward_ad.make_dual(torch.zeros(()), torch.zeros(()))

Perturb = Callable[[Block, Tensor], Tensor | None]
"""(block, its output) -> the direction of the perturbation, shaped like the output, or None for no perturbation."""


@contextmanager
def same_dropout(device: torch.device) -> Iterator[None]:
    """Make attention draw the same dropout masks as the tangent pass.

    The tangent pass needs the math back-end. On CUDA the fused back-ends draw different masks from the same seed. On a
    CPU, attention with dropout always runs on the math back-end.
    """
    with sdpa_kernel(SDPBackend.MATH) if device.type == "cuda" else nullcontext():
        yield


_ONE_AT_A_TIME = threading.RLock()
"""PyTorch has one forward-mode level per process, so tangent passes of different threads must take turns."""


class TangentPass(Pass):
    """One forward on dual numbers, with a direction p_l added at each block's output.

    After the pass, `logits` is the output (N, ..., n_out) as a leaf for a loss. `tangent` is sum_l J_l p_l, of the same
    shape, and zero if no direction had an effect. Activations are freed as soon as they are used.
    """

    # Example: blocks h1, h2 (N, 256), logits (N, 10).  cut(h1): h1 becomes the dual number (h1, p1)
    #   block 2 maps it to (h2, J p1);  cut(h2): (h2, J p1 + p2)
    #   join: logits (N, 10) and tangent = J_1 p1 + J_2 p2 (N, 10), from a single forward

    intercepts = True

    def __init__(self, perturb: Perturb) -> None:
        self.perturb = perturb
        self._moved = False
        self.logits: Tensor | None = None
        self.tangent: Tensor | None = None

    @contextmanager
    def around(self) -> Iterator[None]:
        """Disable the graph and compiled code, which loses tangents. Use an attention back-end with a derivative."""
        eager = torch.compiler.set_stance("force_eager")
        tangents = Tangents()
        duals = torch.no_grad(), forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH), custom_functions(tangents)
        with ExitStack() as stack:
            for context in (_ONE_AT_A_TIME, eager, *duals, _Derivatives(tangents)):
                stack.enter_context(context)
            try:
                yield
            except NotImplementedError as error:
                raise UserError(f"the model uses an operator without a forward-mode derivative: {error}") from error

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Return the output, with p_l (N, *shape) added to the tangent from earlier blocks."""
        direction = self.perturb(block, output)
        if direction is None:
            return output
        primal, carried = forward_ad.unpack_dual(output)
        self._moved = True
        moved: Tensor = forward_ad.make_dual(primal, direction if carried is None else carried + direction)
        return moved

    def join(self, logits: Tensor) -> Tensor:
        """Read sum_l J_l p_l from the output. The graph starts here."""
        primal, tangent = forward_ad.unpack_dual(logits)
        if self._moved and tangent is None:
            raise RuntimeError("the tangent was lost before the output (by a compiled or in-place operator?)")
        self.tangent = torch.zeros_like(primal) if tangent is None else tangent
        torch.set_grad_enabled(True)
        self.logits = primal.detach().requires_grad_()
        return self.logits


_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_CELLS = {"lstm_cell": "lstm", "gru_cell": "gru"}


_FLASH = "aten::_scaled_dot_product_flash_attention_for_cpu"
_SDPA = "aten::scaled_dot_product_attention"


class _Derivatives(OperatorMode):
    """Derivatives of operators for which PyTorch has none, and linear maps of dual numbers as two products.

    PyTorch's own forward AD computes a third product, with a zero weight tangent.
    """

    def __init__(self, tangents: Tangents) -> None:
        super().__init__()
        self.tangents = tangents

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if (derivative := sparse.derivative_of(func, args, kwargs or {})) is not None:
            return derivative(func, *args, **(kwargs or {}))
        if (derivative := norms.derivative_of(func, args, kwargs or {})) is not None:
            return derivative(*args, **(kwargs or {}))
        operator = _registered(func)
        if func is F.scaled_dot_product_attention or operator in (_SDPA, _FLASH):
            return _attention(func, operator == _FLASH, *args, **(kwargs or {}))
        if operator and not operator.startswith("aten::") and carries_tangent([args, kwargs]):
            custom = Custom(func, operator, *[lambda *given: func(*given, **(kwargs or {}))] * 2)
            return self.tangents.through(custom, args)
        if name in _CELLS and _fused(args[0]):
            with self:
                return recurrent.step(_CELLS[name], *args, **(kwargs or {}))
        if name in recurrent.CELLS and _fused(args[0]) and recurrent.takes(args):
            with self:
                return recurrent.layers(name, args)
        if name in _RECURRENT:
            # The kernels of oneDNN and cuDNN have no forward derivative, but PyTorch's own CPU kernels do.
            with torch.backends.mkldnn.flags(enabled=False), _without_cudnn():
                return func(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)

    def linear_map(self, call: LinearMap) -> Tensor:
        """(W x + b, W dx) as a dual number."""
        parts = (one for one in (call.weight, call.bias) if not (one is None or isinstance(one, nn.Parameter)))
        if any(forward_ad.unpack_dual(one).tangent is not None for one in parts):  # no parameter is a dual number
            return call.apply(call.input, call.weight, call.bias)
        primal, tangent = forward_ad.unpack_dual(call.input)
        output = call.apply(primal, call.weight, call.bias)
        if tangent is None:
            return output
        dual: Tensor = forward_ad.make_dual(output, call.apply(tangent, call.weight, None))
        return dual


def _registered(func: Any) -> str | None:
    """The name of an operator of `torch.ops` ("aten::mm"), or None for other functions."""
    packet = func.overloadpacket if isinstance(func, torch._ops.OpOverload) else func
    return packet._qualified_op_name if isinstance(packet, torch._ops.OpOverloadPacket) else None


def _attention(func: Any, flash: bool, *args: Any, **kwargs: Any) -> Any:
    """Run attention on the math back-end, even if the model requests another or calls the CPU's flash kernel itself."""
    with sdpa_kernel(SDPBackend.MATH):
        if not flash or not carries_tangent([args, kwargs]):
            return func(*args, **kwargs)
        options = dict(zip(("dropout_p", "is_causal"), args[3:], strict=False)) | kwargs
        output = F.scaled_dot_product_attention(*args[:3], **options)
    _, log_sum_exp = func(*map_tensors(_primal, args), **map_tensors(_primal, kwargs))
    return output, log_sum_exp


def _primal(x: Tensor) -> Tensor:
    return forward_ad.unpack_dual(x).primal if x.is_floating_point() else x


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

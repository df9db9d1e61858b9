"""Capture a whole training step as one CUDA graph, which the GPU replays without waiting for Python.

Experimental: this ran on one H200 (see docs/speed.md) and on no other GPU. It is not part of the public API, and no job
uses it.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, cuda

from grape_bench.errors import UserError
from grape_bench.network.parallel import backward_of, require_cuda
from grape_bench.network.passes import CutPass, HeadPass, Pass, PassCounts
from grape_bench.network.trace import as_batch
from grape_bench.network.trees import map_tensors, tensors

if TYPE_CHECKING:
    from grape_bench.network.network import Network

_CAPTURED = "bp, head-only, and direct feedback whose signal is a method; each of them also with anchors"
_PARALLEL = "parallel_backward(network, batch, loss_of), which runs the same step without a graph"
WARM_UP = 3
"""Ordinary steps before a capture. They create the optimizer's state and whatever libraries set up on first use."""


class CapturedStep:
    """Trains `network` by replaying CUDA graphs. `step(inputs, targets)` takes one step and returns the detached loss.

    `inputs` is anything that `attach` accepts as an example, `targets` is any tree of tensors, and `loss_of(output,
    targets)` returns a scalar. A call runs zero_grad, forward, backward (on parallel CUDA streams if the rule allows
    it) and `optimizer.step`. The first `WARM_UP` calls are ordinary steps, the next one is captured, and all later
    calls replay the capture. Each kind of pass that the rule opens gets its own graph, so an anchored rule has two.
    What a rule does before its passes (GrAPE's refresh) is not captured, so it must change tensors in place.

    A graph stores addresses and numbers, not code. The capture freezes the shapes, the model's settings and modes, the
    set of trained parameters and the optimizer's numbers (including the learning rate, unless it is a tensor on the
    GPU). Python code in the model, the loss and hooks does not run in a replay. The network's counters are still
    updated. Raises UserError if the model is not on CUDA, or if a step, a batch or an optimizer does not fit these
    limits.
    """

    # Example with "dfa": calls 1 to 3 are ordinary steps, call 4 captures the graph and replays it once,
    #   calls 5, 6, ... copy inputs (N, ...) and targets (N,) to the addresses that the graph reads, and replay it.

    def __init__(
        self, network: Network, loss_of: Callable[[Any, Any], Tensor], optimizer: torch.optim.Optimizer
    ) -> None:
        require_cuda(network, "CapturedStep")
        if any(not group.get("capturable", True) for group in optimizer.param_groups):
            raise UserError(
                f"{type(optimizer).__name__} counts its steps on the CPU, where a CUDA graph cannot update them",
                hint=f"torch.optim.{type(optimizer).__name__}(..., capturable=True)",
            )
        if reason := network.rule.unreplayable:
            raise UserError(
                f"a step of {network.rule!r} cannot be captured: {reason}", allowed=_CAPTURED, hint=_PARALLEL
            )
        self.network, self.loss_of, self.optimizer = network, loss_of, optimizer
        self._static: Any = None  # inputs and targets at the addresses that the graphs read
        self._ordinary: dict[Any, int] = {}
        self._graphs: dict[Any, CapturedGraph] = {}
        self._numbers: list[dict[str, Any]] = []  # the optimizer's, as captured
        self._stream = cuda.Stream(network.device)
        optimizer.register_load_state_dict_post_hook(self._discard_graphs)

    def __call__(self, inputs: Any, targets: Any) -> Tensor:
        """Take one training step. Every call returns a new loss tensor."""
        self._check_settings()
        self._fill((as_batch(inputs), targets))
        pass_ = self.network.rule.open_pass(self.network, self._static[0])
        kind = (kind_of(pass_), self.network.model.training)
        if kind not in self._graphs:
            self._ordinary[kind] = self._ordinary.get(kind, 0) + 1
            if self._ordinary[kind] <= WARM_UP:
                return self._ordinary_step(pass_)
            self._graphs[kind] = self._capture(pass_)
        return self._graphs[kind].replay(self.network)

    def _check_settings(self) -> None:
        if torch.is_autocast_enabled(self.network.device.type):
            raise UserError(
                "autocast outside of the captured step casts the weights once, and replays would not see later updates",
                hint="use autocast inside the model's forward, or model.to(torch.bfloat16)",
            )
        numbers = _numbers(self.optimizer, self.network.device)
        if self._graphs and numbers != self._numbers:
            raise UserError(
                f"the optimizer's settings have changed since the capture: {numbers} instead of {self._numbers}",
                hint='lr=torch.tensor(1e-3, device="cuda"), which schedulers update in place',
            )
        self._numbers = numbers

    def _discard_graphs(self, _: torch.optim.Optimizer) -> None:
        """Start over when the optimizer loads a state, because the graphs would update its old tensors."""
        self._ordinary.clear()
        self._graphs.clear()

    def _fill(self, given: Any) -> None:
        """Copy a batch to the addresses that the graphs read."""
        form = _form(given)
        if self._static is None:
            device = self.network.device
            self._static = map_tensors(lambda tensor: tensor.detach().to(device, copy=True), given)
            self._form_at_first = form
        elif form != self._form_at_first:
            raise UserError(
                f"all batches of a captured step need the same shapes and types: {self._form_at_first}, not {form}",
                hint="set drop_last=True in the DataLoader, or take an ordinary step for this batch",
            )
        else:
            for static, tensor in zip(tensors(self._static), tensors(given), strict=True):
                static.copy_(tensor, non_blocking=True)

    def _ordinary_step(self, pass_: Pass) -> Tensor:
        """Take an uncaptured step on the CUDA stream that captures use."""
        caller = cuda.current_stream(self.network.device)
        self._stream.wait_stream(caller)
        with cuda.stream(self._stream):
            loss = self._take(pass_)
        caller.wait_stream(self._stream)
        return loss

    def _take(self, pass_: Pass) -> Tensor:
        batch, targets = self._static
        self.optimizer.zero_grad(set_to_none=True)  # so that each graph allocates its own gradients
        loss = backward_of(self.network, pass_, batch, lambda output: self.loss_of(output, targets))
        self.optimizer.step()
        return loss

    def _capture(self, pass_: Pass) -> CapturedGraph:
        network, graph, pool = self.network, cuda.CUDAGraph(), cuda.graph_pool_handle()
        for generator in network.streams.on(network.device):
            graph.register_generator_state(generator)
        before = replace(network.counts)
        caller = cuda.current_stream(network.device)
        try:
            # "thread_local": other threads may keep using CUDA, for example a data loader that pins memory.
            with cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"):
                loss = self._take(pass_)
            passes = network.counts - before
        except RuntimeError as error:
            cuda.set_stream(caller)
            _stop_allocating(network.device, pool)
            _stop_capturing([*network.streams.on(network.device), cuda.default_generators[cuda.current_device()]])
            self.optimizer.zero_grad(set_to_none=True)
            raise UserError(
                f"this step cannot be captured: {str(_first_cause(error)).splitlines()[0]}",
                allowed="steps that never wait for the GPU (.item(), shapes from data) and keep no earlier loss alive",
                hint=_PARALLEL,
            ) from error
        finally:  # the hooks have counted this step, but a capture computes nothing
            network.counts = before
        gradients = [(p, p.grad) for group in self.optimizer.param_groups for p in group["params"]]
        return CapturedGraph(graph, loss, gradients, passes)


def _first_cause(error: BaseException) -> BaseException:
    """The error that broke the capture. Closing the capture raises a second error that hides the reason."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _stop_capturing(generators: list[torch.Generator]) -> None:
    """Remove `generators` from a failed capture. Otherwise the next random number on the GPU raises an error."""
    for generator in generators:
        generator.graphsafe_set_state(generator.clone_state())


def _stop_allocating(device: torch.device, pool: Any) -> None:
    """End the failed capture in the allocator. Otherwise every later capture in this process fails.

    PyTorch 2.11 does this itself only if the capture was closed without an error.
    """
    try:
        torch._C._cuda_endAllocateToPool(cuda.current_device() if device.index is None else device.index, pool)
    except RuntimeError as error:  # newer versions of PyTorch already ended it
        warnings.warn(f"the failed capture's memory pool was already closed: {error}", stacklevel=2)


@dataclass(frozen=True)
class CapturedGraph:
    """A captured step: its graph, the loss and gradients that it writes, and its increments of the pass counts."""

    graph: cuda.CUDAGraph
    loss: Tensor
    gradients: list[tuple[Tensor, Tensor | None]]
    passes: PassCounts

    def replay(self, network: Network) -> Tensor:
        """Take the step and return a copy of its loss."""
        for parameter, gradient in self.gradients:
            if parameter.grad is not gradient:  # it belongs to another graph, or is None after zero_grad
                parameter.grad = gradient
        self.graph.replay()
        network.counts += self.passes
        return self.loss.clone()


def kind_of(pass_: Pass) -> Any:
    """Return the key of the graph that can replay `pass_`. Raises UserError if the pass holds data of one batch."""
    if type(pass_) in (Pass, HeadPass):
        return type(pass_)
    if type(pass_) is CutPass and inspect.ismethod(pass_.signal):
        return pass_.signal
    raise UserError(
        f"a {type(pass_).__name__} holds data of one batch, and a graph would reuse it for every batch",
        allowed=_CAPTURED,
    )


def _form(tree: Any) -> Any:
    """Return `tree` with every tensor replaced by its shape and dtype."""

    def described(tensor: Tensor) -> Any:
        return tuple(tensor.shape), tensor.dtype

    return map_tensors(described, tree)


def _numbers(optimizer: torch.optim.Optimizer, device: torch.device) -> list[dict[str, Any]]:
    """Return the optimizer's settings that a graph freezes: all except tensors on `device`."""
    return [
        {
            name: value.item() if isinstance(value, Tensor) else value
            for name, value in group.items()
            if name != "params" and not (isinstance(value, Tensor) and value.device == device)
        }
        for group in optimizer.param_groups
    ]

"""A whole training step as one CUDA graph, which the GPU runs without waiting for Python."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, cuda

from grape_bench.errors import UserError
from grape_bench.network.parallel import backward_of, open_pass, require_cuda
from grape_bench.network.passes import CutPass, HeadPass, Pass
from grape_bench.network.trace import as_batch
from grape_bench.network.trees import map_tensors, tensors

if TYPE_CHECKING:
    from grape_bench.network.network import Network

WARM_UP = 3
"""Ordinary steps before a capture: they make the optimizer's state and what libraries set up at first use."""


class CapturedStep:
    """Training steps of `network` by replaying CUDA graphs; `step(inputs, targets)` returns the detached loss.

    `inputs` are as `attach` takes them, `targets` any tree of tensors, `loss_of(output, targets)` a scalar. A call
    is one step: zero_grad, forward, backward (on parallel streams where the rule allows), `optimizer.step`. The first
    `WARM_UP` calls are ordinary steps, the next one is captured, all others replay it. There is a graph for each kind
    of pass that the rule opens, so an anchored rule has two. What a rule does before its passes (GrAPE's refresh)
    runs uncaptured, and so has to change tensors in place.

    A graph holds addresses and numbers, not code. Fixed at the capture are: the shapes; settings and modes of the
    model; which parameters are trained; numbers of the optimizer, a learning rate too unless it is a tensor on the
    GPU. Python code in the model, the loss and hooks does not run at a replay; the network's counters do go on.
    Raises UserError where the model is not on CUDA, or for a step, a batch or an optimizer that does not fit this.
    """

    def __init__(
        self, network: Network, loss_of: Callable[[Any, Any], Tensor], optimizer: torch.optim.Optimizer
    ) -> None:
        require_cuda(network, "CapturedStep")
        if any(not group.get("capturable", True) for group in optimizer.param_groups):
            raise UserError(
                f"{type(optimizer).__name__} counts its steps on the CPU",
                hint=f"torch.optim.{type(optimizer).__name__}(..., capturable=True)",
            )
        self.network, self.loss_of, self.optimizer = network, loss_of, optimizer
        self._static: Any = None  # inputs and targets at the addresses that the graphs read
        self._ordinary: dict[Any, int] = {}
        self._recordings: dict[Any, Recording] = {}
        self._numbers: list[dict[str, Any]] = []  # the optimizer's, in the recordings
        self._stream = cuda.Stream(network.device)
        optimizer.register_load_state_dict_post_hook(self._begin_anew)

    def __call__(self, inputs: Any, targets: Any) -> Tensor:
        """One training step; a loss of its own for every call."""
        self._check_settings()
        self._fill((as_batch(inputs), targets))
        pass_ = open_pass(self.network, self._static[0])
        kind = (kind_of(pass_), self.network.model.training)
        if kind not in self._recordings:
            self._ordinary[kind] = self._ordinary.get(kind, 0) + 1
            if self._ordinary[kind] <= WARM_UP:
                return self._aside(pass_)
            self._recordings[kind] = self._capture(pass_)
        return self._recordings[kind].replay(self.network)

    def _check_settings(self) -> None:
        if torch.is_autocast_enabled(self.network.device.type):
            raise UserError(
                "weights cast outside of a graph would go stale in it",
                hint="autocast within the model's forward, or model.to(torch.bfloat16)",
            )
        numbers = _numbers(self.optimizer, self.network.device)
        if self._recordings and numbers != self._numbers:
            raise UserError(
                f"the optimizer's settings are no longer those of the captured step: {numbers}, not {self._numbers}",
                hint='lr=torch.tensor(1e-3, device="cuda"), which schedulers change in place',
            )
        self._numbers = numbers

    def _begin_anew(self, _: torch.optim.Optimizer) -> None:
        """After the optimizer has loaded a state, in other tensors than those that the graphs update."""
        self._ordinary.clear()
        self._recordings.clear()

    def _fill(self, given: Any) -> None:
        """Copy a batch to where the graphs read it."""
        form = _form(given)
        if self._static is None:
            device = self.network.device
            self._static = map_tensors(lambda tensor: tensor.detach().to(device, copy=True), given)
            self._form_at_first = form
        elif form != self._form_at_first:
            raise UserError(
                f"a captured step takes batches of one form: {self._form_at_first}, not {form}",
                hint="drop_last=True in the DataLoader, or an ordinary step for this batch",
            )
        else:
            for static, tensor in zip(tensors(self._static), tensors(given), strict=True):
                static.copy_(tensor, non_blocking=True)

    def _aside(self, pass_: Pass) -> Tensor:
        """An ordinary step on the stream of the captures."""
        caller = cuda.current_stream(self.network.device)
        self._stream.wait_stream(caller)
        with cuda.stream(self._stream):
            loss = self._take(pass_)
        caller.wait_stream(self._stream)
        return loss

    def _take(self, pass_: Pass) -> Tensor:
        batch, targets = self._static
        self.optimizer.zero_grad(set_to_none=True)  # so that a graph has gradients of its own
        loss = backward_of(self.network, pass_, batch, lambda output: self.loss_of(output, targets))
        self.optimizer.step()
        return loss

    def _capture(self, pass_: Pass) -> Recording:
        network, graph, pool = self.network, cuda.CUDAGraph(), cuda.graph_pool_handle()
        for generator in network.generators(network.device):
            graph.register_generator_state(generator)
        before = _counts(network)
        caller = cuda.current_stream(network.device)
        try:
            # "thread_local": other threads, such as a data loader's that pins memory, may keep using CUDA.
            with cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"):
                loss = self._take(pass_)
            passes = tuple(now - then for now, then in zip(_counts(network), before, strict=True))
        except RuntimeError as error:
            cuda.set_stream(caller)
            _stop_allocating(network.device, pool)
            _stop_capturing([*network.generators(network.device), cuda.default_generators[cuda.current_device()]])
            self.optimizer.zero_grad(set_to_none=True)
            raise UserError(
                f"this step cannot be captured: {str(_first_cause(error)).splitlines()[0]}",
                allowed="no wait for the GPU (.item(), shapes from data), no loss of an earlier step kept alive",
                hint="parallel_backward(network, batch, loss_of), which runs the same step uncaptured",
            ) from error
        finally:  # the hooks have counted, but nothing has been computed yet
            network.backward_passes, network.hidden_block_passes = before
        gradients = [(p, p.grad) for group in self.optimizer.param_groups for p in group["params"]]
        return Recording(graph, loss, gradients, passes)


def _first_cause(error: BaseException) -> BaseException:
    """The error that broke the capture; CUDA raises a second one, without a reason, when the capture is closed."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _stop_capturing(generators: list[torch.Generator]) -> None:
    """Give `generators` a copy of their state that does not count as being captured.

    A capture that fails leaves them in it, and the next random number on the GPU then raises an error.
    """
    for generator in generators:
        generator.graphsafe_set_state(generator.clone_state())


def _stop_allocating(device: torch.device, pool: Any) -> None:
    """Tell the allocator that the failed capture into `pool` is over, or every later capture in the process fails.

    PyTorch 2.11 reaches its own call only after the capture has been closed without an error.
    """
    try:
        torch._C._cuda_endAllocateToPool(cuda.current_device() if device.index is None else device.index, pool)
    except RuntimeError as error:  # newer versions have ended it themselves
        warnings.warn(f"the failed capture's memory pool was already closed: {error}", stacklevel=2)


@dataclass(frozen=True)
class Recording:
    """A captured step: its graph, and what the graph writes to; `passes` is what it adds to the network's counts."""

    graph: cuda.CUDAGraph
    loss: Tensor
    gradients: list[tuple[Tensor, Tensor | None]]
    passes: tuple[int, ...]

    def replay(self, network: Network) -> Tensor:
        """Take the step."""
        for parameter, gradient in self.gradients:
            if parameter.grad is not gradient:  # another graph's, or none after a zero_grad
                parameter.grad = gradient
        self.graph.replay()
        network.backward_passes += self.passes[0]
        network.hidden_block_passes += self.passes[1]
        return self.loss.clone()


def kind_of(pass_: Pass) -> Any:
    """What tells passes apart that need a graph each; raises UserError for one that is made anew for each batch."""
    if type(pass_) in (Pass, HeadPass):
        return type(pass_)
    if type(pass_) is CutPass and inspect.ismethod(pass_.signal):
        return pass_.signal
    raise UserError(
        f"a {type(pass_).__name__} holds what was made for one batch, which a graph would repeat",
        allowed="bp, head-only, direct feedback with a method as its signal, and these with anchors",
    )


def _counts(network: Network) -> tuple[int, int]:
    return network.backward_passes, network.hidden_block_passes


def _form(tree: Any) -> Any:
    """`tree` with the shape and type of every tensor in its place."""

    def described(tensor: Tensor) -> Any:
        return tuple(tensor.shape), tensor.dtype

    return map_tensors(described, tree)


def _numbers(optimizer: torch.optim.Optimizer, device: torch.device) -> list[dict[str, Any]]:
    """The optimizer's settings that a graph holds as numbers: all but tensors on its own device."""
    return [
        {
            name: value.item() if isinstance(value, Tensor) else value
            for name, value in group.items()
            if name != "params" and not (isinstance(value, Tensor) and value.device == device)
        }
        for group in optimizer.param_groups
    ]

"""The floating-point operations of one training step: where they occur, and how they depend on each other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from grape_bench.network.block import Block
from grape_bench.network.lean import output_error
from grape_bench.network.network import Network
from grape_bench.network.passes import CutPass, HeadPass, LocalPass, Pass, Signal
from grape_bench.network.preserve import preserved
from grape_bench.network.reach import HEAD
from grape_bench.network.trace import Batch

Loss = Callable[[Any], Tensor]


@dataclass(frozen=True)
class Segment:
    """The part between two cuts: FLOPs of its forward, and of its own backward including weight gradients.

    `name` is the block at whose output it ends, or `HEAD` for the part that ends at the network's output.
    """

    name: str
    forward: float
    backward: float


@dataclass(frozen=True)
class StepFlops:
    """FLOPs of a step without the optimizer, averaged over the rule's period.

    `backward` includes the weight gradients. `tangents` is the work that a rule does before the forward. `independent`
    means that no segment's backward waits for another segment.
    """

    forward: float
    backward: float
    tangents: float
    independent: bool
    segments: tuple[Segment, ...]

    @property
    def total(self) -> float:
        """Forward, backward and tangents."""
        return self.forward + self.backward + self.tangents

    @property
    def critical(self) -> float:
        """FLOPs on the longest chain of dependent blocks.

        For BP this is the whole step. With independent blocks it is the tangents, the forward and the largest backward
        of a segment.
        """
        last = max(segment.backward for segment in self.segments) if self.independent else self.backward
        return self.forward + self.tangents + last


def step_flops(network: Network, batch: Batch, loss_of: Loss, forwards: int = 1, target: Any = None) -> StepFlops:
    """Count one training step of the attached rule on `batch`. Clears the gradients.

    `target` is for rules that read it before the backward. `forwards` is 2 for steps that compute every activation
    twice to save memory (lean, checkpointing).
    """
    rule = network.rule
    with preserved(network.model):
        with network.informed(loss_of, target):
            opened = [_counted(lambda: rule.open_pass(network, batch)) for _ in range(rule.period)]
        tangents = sum(flops for _, flops in opened) / rule.period
        # The rule's own forward on dual numbers is reused as the first forward of a lean step.
        spared = sum(isinstance(pass_, CutPass) and pass_.forward is not None for pass_, _ in opened) / rule.period
        pass_ = opened[-1][0]
        loss, forward = _counted(lambda: loss_of(network.run(pass_, batch)))
        with network.informed(loss_of, target):
            _, backward = _counted(lambda: loss.backward())
        network.model.zero_grad(set_to_none=True)
        segments = _segments(network, pass_, batch, loss_of)
        if isinstance(pass_, HeadPass):
            segments = tuple(replace(each, backward=backward if each.name == HEAD else 0.0) for each in segments)
    forward *= forwards - (spared if forwards > 1 else 0)
    return StepFlops(forward, backward, tangents, isinstance(pass_, HeadPass) or _independent(pass_), segments)


def _independent(pass_: Pass) -> TypeGuard[CutPass]:
    return isinstance(pass_, CutPass) and pass_.independent


def _segments(network: Network, pass_: Pass, batch: Batch, loss_of: Loss) -> tuple[Segment, ...]:
    """Measure every segment, in the order of the forward."""
    if _independent(pass_):
        return _one_by_one(network, LocalPass, pass_.signal, batch, loss_of)
    return _one_by_one(network, _ChainPass, _no_signal, batch, loss_of)


def _one_by_one(
    network: Network, kind: type[LocalPass], signal: Signal, batch: Batch, loss_of: Loss
) -> tuple[Segment, ...]:
    """Run the forward and backward of each segment in turn, and count their FLOPs."""
    error = output_error(network, batch, loss_of)
    found: list[Segment] = []
    at, forward = HEAD, 0.0

    def counted_signal(block: Block) -> Tensor:
        nonlocal at, forward
        at, forward = block.name, flops_since()
        return signal(block, block.part_of(error))

    def flops_since() -> float:
        flops = float(counter.get_total_flops())
        counter.flop_counts.clear()
        return flops

    def note() -> None:
        found.append(Segment(at, forward, flops_since()))

    with _counting() as counter:
        loss = loss_of(network.run(kind(counted_signal, note), batch))
        at, forward = HEAD, flops_since()
        loss.backward()
        note()
    network.model.zero_grad(set_to_none=True)
    return tuple(found)


class _ChainPass(LocalPass):
    """A pass in which the backward of each segment includes the gradient of its input, as in backpropagation."""

    def cut(self, block: Block, output: Tensor) -> Tensor:
        """Return the output as a new leaf, copied for networks that overwrite it in place."""
        needed = output.requires_grad
        return super().cut(block, output).requires_grad_(needed).clone()


def _no_signal(block: Block, error: Tensor) -> Tensor:
    return torch.zeros_like(block.output)


def _counted(do: Callable[[], Any]) -> tuple[Any, float]:
    with _counting() as counter:
        result = do()
    return result, float(counter.get_total_flops())


@contextmanager
def _counting() -> Iterator[FlopCounterMode]:
    """Count with PyTorch's own kernels. The counter sees no operations in a fused LSTM, of oneDNN or cuDNN."""
    with (
        warnings.catch_warnings(),
        torch.backends.mkldnn.flags(enabled=False),
        torch.backends.cudnn.flags(enabled=False),
        FlopCounterMode(display=False) as counter,
    ):
        warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")  # restoring a flag warns
        yield counter

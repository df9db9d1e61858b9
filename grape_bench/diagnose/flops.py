"""Floating-point operations of one training step: where they go, and which of them must wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from grape_bench.network.cut import CutPass
from grape_bench.network.lean import LeanPass, output_error
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.preserve import preserved
from grape_bench.network.trace import Batch

Loss = Callable[[Any], Tensor]


@dataclass(frozen=True)
class StepFlops:
    """FLOPs of a step, the optimizer left out: a mean over the rule's period.

    `forward` makes the output, `credit` is the backward (weight gradients included), `tangents` what a rule
    computes before the forward. `critical` are those on the longest chain of dependent blocks: all of them for
    BP; tangents, forward and the slowest block for a rule whose blocks go back independently.
    """

    forward: float
    credit: float
    tangents: float
    critical: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.forward + self.credit + self.tangents


def step_flops(network: Network, batch: Batch, loss_of: Loss, forwards: int = 1) -> StepFlops:
    """Count one training step of the attached rule on `batch`; gradients are left empty.

    `forwards` is 2 for steps that compute every activation twice, to hold few of them.
    """
    rule = network.rule
    if rule is None:
        raise RuntimeError("no rule is attached")
    with preserved(network.model):
        opened = [_counted(lambda: rule.open_pass(network, batch)) for _ in range(rule.period)]
        tangents = sum(flops for _, flops in opened) / rule.period
        # The rule's own forward on dual numbers is the first of a lean step.
        spared = sum(isinstance(pass_, CutPass) and pass_.forward is not None for pass_, _ in opened) / rule.period
        pass_ = opened[-1][0]
        loss, forward = _counted(lambda: loss_of(network.run(pass_, batch)))
        _, credit = _counted(lambda: loss.backward())
        network.model.zero_grad(set_to_none=True)
        slowest = _slowest_block(network, pass_, batch, loss_of) if isinstance(pass_, CutPass) else credit
    forward *= forwards - (spared if forwards > 1 else 0)
    return StepFlops(forward, credit, tangents, critical=forward + tangents + slowest)


def _slowest_block(network: Network, pass_: CutPass, batch: Batch, loss_of: Loss) -> float:
    """The FLOPs of the block, or the head, whose own backward is the longest."""
    error = output_error(network, batch, loss_of)
    credits: list[float] = []

    def signal(block: Any, error: Tensor) -> Tensor:
        # What has been counted since the block before is this segment's forward: start anew.
        counter.flop_counts.clear()
        return pass_.signal(block, error)

    def note() -> None:
        credits.append(float(counter.get_total_flops()))

    with FlopCounterMode(display=False) as counter:
        loss = loss_of(network.run(LeanPass(signal, error, note), batch))
        counter.flop_counts.clear()
        loss.backward()
        note()
    network.model.zero_grad(set_to_none=True)
    return max(credits)


def _counted(do: Callable[[], Any]) -> tuple[Any, float]:
    with FlopCounterMode(display=False) as counter:
        result = do()
    return result, float(counter.get_total_flops())


def bp_flops(network: Network, batch: Batch, loss_of: Loss) -> StepFlops:
    """The same for backpropagation through the same network."""
    with preserved(network.model), torch.enable_grad():
        loss, forward = _counted(lambda: loss_of(network.run(Pass(), batch)))
        _, credit = _counted(lambda: loss.backward())
    network.model.zero_grad(set_to_none=True)
    return StepFlops(forward, credit, 0.0, critical=forward + credit)

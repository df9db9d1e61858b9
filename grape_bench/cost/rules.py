"""What a rule costs: step time and memory relative to BP, FLOPs, and their critical path."""

from __future__ import annotations

import math
import multiprocessing
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grape_bench import models
from grape_bench.attachment import attach
from grape_bench.cost.flops import StepFlops, step_flops
from grape_bench.cost.memory import PeakMemory
from grape_bench.cost.pipeline import pipelines
from grape_bench.cost.step import TimeSplit, time_split
from grape_bench.cost.turns import Ratio, in_turns, ratio, steps_per_round, sums
from grape_bench.errors import UserError
from grape_bench.network.lean import lean_step
from grape_bench.network.modes import Modes
from grape_bench.network.network import Network
from grape_bench.network.trace import Batch, logits_of
from grape_bench.rules.make import make_rule

PERIODS = 2  # of the rule with the longest period
MEMORY_STEPS = 3  # enough to allocate the optimizer's and the rule's state, and for one refresh


@dataclass(frozen=True)
class Cost:
    """The row of one rule.

    `time` is a step's time ÷ BP's and `step_s` is in seconds, both from `rounds` rounds. `memory` is in bytes above the
    weights. `attach` is in forwards. `blocks` is the number of cuts. Lean steps have no `split`.
    """

    rule: str
    time: Ratio
    step_s: float
    rounds: int
    memory: int
    flops: StepFlops
    split: TimeSplit | None
    attach: float
    blocks: int


def measure_costs(subject: Subject, rules: Sequence[str], *, most: int = 400, budget_s: float = 20) -> list[Cost]:
    """Measure "bp" and `rules`. Times come from interleaved steps in this process, memory from a fresh process each.

    A rule's time is compared with BP's over at least two whole periods of the rule.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = ["bp", *(rule for rule in rules if rule != "bp")]
    steps = {name: subject.steps(name, device) for name in names}
    periods = {name: own.network.rule.period for name, own in steps.items()}
    if (at_once := steps_at_once(periods.values(), device)) > 1:
        periods = dict.fromkeys(periods, 1)
    work = {name: partial(_take, own, at_once) for name, own in steps.items()}
    seconds = in_turns(work, device, most, budget_s, least=PERIODS * max(periods.values()))
    batch, labels = subject.batch(device)
    return [
        Cost(
            rule=name,
            time=ratio(seconds[name], seconds["bp"], period),
            step_s=statistics.median(sums(seconds[name], period)) / (period * at_once),
            rounds=len(seconds[name]),
            memory=peak_memory(subject, name),
            flops=step_flops(steps[name].network, batch, subject.loss_of(labels), subject.forwards(name)),
            split=None if steps[name].lean else time_split(steps[name], repeat((batch, labels)), device),
            attach=_attach_in_forwards(subject, name, device),
            blocks=len(steps[name].network.blocks),
        )
        for name, period in periods.items()
    ]


def steps_at_once(periods: Iterable[int], device: torch.device) -> int:
    """How many steps to time without a synchronization: one on a CPU, and on a GPU whole periods of all rules."""
    return 1 if device.type == "cpu" else steps_per_round(math.lcm(*periods), device)


def _take(steps: Steps, count: int) -> None:
    for _ in range(count):
        steps.take()


def peak_memory(subject: Subject, rule: str) -> int:
    """Peak bytes above the model's own memory, over a few steps in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure_memory, (subject, rule, torch.get_num_threads()))


def _measure_memory(subject: Subject, rule: str, threads: int) -> int:
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    steps = subject.steps(rule, device)
    memory = PeakMemory(device)
    for _ in range(max(MEMORY_STEPS, steps.network.rule.period)):
        steps.take()
    return int(memory.measure()["peak_bytes"])


def _attach_in_forwards(subject: Subject, rule: str, device: torch.device) -> float:
    """Time to attach ÷ time of a forward with a graph, on the same batch."""
    network = subject.network(rule.partition(" ")[0], device)
    (args, kwargs), _ = subject.batch(device)
    network.detach()

    def attach_again() -> None:
        attach(network.model, network.rule, args).detach()

    work = {"forward": lambda: network.model(*args, **kwargs), "attach": attach_again}
    seconds = in_turns(work, device, most=5, budget_s=10)
    return ratio(seconds["attach"], seconds["forward"]).median


def rows(costs: list[Cost]) -> list[dict[str, float | str]]:
    """Make one row per rule. Ratios are relative to the first cost, which is BP's."""
    bp = costs[0]
    return [
        {
            "rule": cost.rule,
            "time": cost.time.median,
            "time_low": cost.time.low,
            "time_high": cost.time.high,
            "rounds": cost.rounds,
            "step_s": cost.step_s,
            "memory": cost.memory / bp.memory if bp.memory else float("nan"),
            "memory_bytes": cost.memory,
            "flops": cost.flops.total / bp.flops.total,
            "forward": cost.flops.forward / bp.flops.total,
            "credit": cost.flops.backward / bp.flops.total,
            "tangents": cost.flops.tangents / bp.flops.total,
            "critical": cost.flops.critical / bp.flops.total,
            "attach": cost.attach,
            **{f"{name}_share": share for name, share in _shares(cost).items()},
            "layer_parallel": bp.flops.total / cost.flops.critical,
            # The pipeline model has no second forward, so it does not apply to lean steps.
            **{
                f"pipeline_{found.devices}": bp.flops.total / found.time
                for found in (pipelines(cost.flops) if cost.split else [])
            },
        }
        for cost in costs
    ]


def _shares(cost: Cost) -> dict[str, float]:
    """The share of each phase in a step's time. Empty for lean steps."""
    seconds = cost.split.record() if cost.split else {}
    return {name: value / sum(seconds.values()) for name, value in seconds.items() if name != "data"}


LEAN, CHECKPOINT = "lean", "checkpoint"
ENDLESS = 10**6  # batches per epoch, so that a measurement never reaches the end of an epoch


@dataclass(frozen=True)
class Subject:
    """What is measured: a model on random samples of `shape`, trained with SGD."""

    model: str
    model_args: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = (3, 32, 32)
    classes: int = 10
    batch_size: int = 64

    def network(self, rule: str, device: torch.device) -> Network:
        """The model with `rule` attached. The weights are the same for every rule."""
        torch.manual_seed(0)
        model = models.build(self.model, shape=self.shape, classes=self.classes, args=self.model_args).to(device)
        Modes(model).train()
        network = attach(model, make_rule(rule), torch.randn(4, *self.shape, device=device))
        network.planned_steps = ENDLESS
        network.begin_epoch(ENDLESS)
        return network

    def batch(self, device: torch.device) -> tuple[Batch, Tensor]:
        """Random inputs, as the arguments of the model, and labels."""
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(self.batch_size, *self.shape, generator=generator)
        labels = torch.randint(self.classes, (self.batch_size,), generator=generator)
        return ((inputs.to(device),), {}), labels.to(device)

    @staticmethod
    def forwards(rule: str) -> int:
        """How often a step of `rule` computes each activation."""
        return 2 if mode_of(rule)[1] else 1

    def loss_of(self, labels: Tensor) -> Callable[[Any], Tensor]:
        """Cross-entropy, given the model's output."""
        return lambda output: F.cross_entropy(logits_of(output, self.classes), labels)

    def steps(self, rule: str, device: torch.device) -> Steps:
        """Make training steps on one batch.

        `RULE lean` trains block by block, and `RULE checkpoint` uses the model's own activation checkpointing. Raises
        UserError for a model without checkpointing, or for an unknown mode.
        """
        name, mode = mode_of(rule)
        network = self.network(name, device)
        if mode == CHECKPOINT:
            checkpoint(network.model)
        batch, labels = self.batch(device)
        return Steps(network, torch.optim.SGD(network.parameter_groups(), lr=1e-3), self, batch, labels, mode == LEAN)


@dataclass(frozen=True)
class Steps:
    """Training steps of a network on one batch."""

    network: Network
    optimizer: torch.optim.Optimizer
    subject: Subject
    batch: Batch
    labels: Tensor
    lean: bool

    def take(self) -> None:
        """Take one training step."""
        if self.lean:
            lean_step(self.network, self.batch, self.subject.loss_of(self.labels), self.optimizer)
        else:
            self.backward(self.forward(self.batch, self.labels))
            self.update()

    def forward(self, batch: Batch, target: Tensor) -> Tensor:
        """Clear the gradients and return the loss. Lean steps have no phases."""
        self.optimizer.zero_grad(set_to_none=True)
        loss_of = self.subject.loss_of(target)
        self.network.inform(loss_of, target)
        args, kwargs = batch
        return loss_of(self.network.model(*args, **kwargs))

    def backward(self, loss: Tensor) -> None:
        """Run the backward, in which the rule computes the gradients."""
        loss.backward()

    def update(self) -> None:
        """Take a step of SGD."""
        self.optimizer.step()


def mode_of(rule: str) -> tuple[str, str]:
    """Split `"dfa lean"` into ("dfa", "lean"). The second part is "" for ordinary steps."""
    name, _, mode = rule.partition(" ")
    if mode not in ("", LEAN, CHECKPOINT):
        raise UserError(f"unknown mode {mode!r} of rule {name!r}", allowed=f"{LEAN}, {CHECKPOINT}")
    return name, mode


def checkpoint(model: nn.Module) -> None:
    """Turn on the built-in activation checkpointing of a timm or transformers model."""
    if callable(enable := getattr(model, "set_grad_checkpointing", None)):
        enable(True)
    elif callable(enable := getattr(model, "gradient_checkpointing_enable", None)):
        enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    else:
        raise UserError(f"{type(model).__name__} has no activation checkpointing", hint="a timm or transformers model")

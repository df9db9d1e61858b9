"""What a rule costs: step time and memory beside BP's, FLOPs and their critical path."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import torch

from grape_bench.diagnose.flops import StepFlops, step_flops
from grape_bench.diagnose.split import TimeSplit, time_split
from grape_bench.diagnose.subject import Subject
from grape_bench.network.attach import attach
from grape_bench.train.memory import PeakMemory
from grape_bench.train.turns import Ratio, in_turns, ratio, sums

PERIODS = 2  # of the rule that takes the longest to repeat itself
STEPS_OF_MEMORY = 3  # enough for the optimizer's and the rule's state, and one refresh


@dataclass(frozen=True)
class Cost:
    """One rule's row: `time` and `step_s` (seconds) of a step, from `rounds` of them, `memory` in bytes above the
    weights, `attach` as a multiple of a forward's time, `blocks` the number of cuts. Lean steps have no `split`.
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


def profile(subject: Subject, rules: Sequence[str], *, most: int = 400, budget_s: float = 20) -> list[Cost]:
    """The costs of "bp" and of `rules`; times from steps taken in turns in this process, memory in one process each.

    A rule's time is compared with BP's over a period of the rule at a time, at least two of them.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = ["bp", *(rule for rule in rules if rule != "bp")]
    steps = {name: subject.steps(name, device) for name in names}
    periods = {name: own.network.rule.period if own.network.rule else 1 for name, own in steps.items()}
    work = {name: own.take for name, own in steps.items()}
    seconds = in_turns(work, device, most, budget_s, least=PERIODS * max(periods.values()))
    inputs, labels = subject.batch(device)
    return [
        Cost(
            rule=name,
            time=ratio(seconds[name], seconds["bp"], period),
            step_s=statistics.median(sums(seconds[name], period)) / period,
            rounds=len(seconds[name]),
            memory=peak_memory(subject, name),
            flops=step_flops(steps[name].network, ((inputs,), {}), subject.loss_of(labels), subject.forwards(name)),
            split=None if steps[name].lean else time_split(steps[name], repeat((inputs, labels)), device),
            attach=_attach_in_forwards(subject, name, device),
            blocks=len(steps[name].network.blocks),
        )
        for name, period in periods.items()
    ]


def peak_memory(subject: Subject, rule: str) -> int:
    """Peak bytes above the model's own, over a few steps in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure_memory, (subject, rule, torch.get_num_threads()))


def _measure_memory(subject: Subject, rule: str, threads: int) -> int:
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    steps = subject.steps(rule, device)
    memory = PeakMemory(device)
    for _ in range(max(STEPS_OF_MEMORY, steps.network.rule.period if steps.network.rule else 1)):
        steps.take()
    return int(memory.measure()["peak_bytes"])


def _attach_in_forwards(subject: Subject, rule: str, device: torch.device) -> float:
    """Seconds to attach on the profile's batch ÷ those of a forward with a graph on it."""
    network = subject.network(rule.partition(" ")[0], device)
    inputs, _ = subject.batch(device)
    network.detach()

    def attach_again() -> None:
        attach(network.model, network.rule or "bp", inputs).detach()

    work = {"forward": lambda: network.model(inputs), "attach": attach_again}
    seconds = in_turns(work, device, most=5, budget_s=10)
    return ratio(seconds["attach"], seconds["forward"]).median

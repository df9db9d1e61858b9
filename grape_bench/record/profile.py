"""The cost of a training step, as a record has it: time, FLOPs, memory by holder, pipeline and energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from grape_bench.record.typed_json import OPTIONAL, REST


@dataclass(frozen=True, kw_only=True)
class Split:
    """Seconds of one training step by phase."""

    data: float
    forward: float
    tangents: float
    credit: float
    update: float


@dataclass(frozen=True, kw_only=True)
class Holders:
    """Bytes in memory by what holds them. `owned` is the rule's own parameters, if it has any."""

    weights: int
    feedback: int
    gradients: int
    optimizer: int
    activations: int
    owned: int | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Flops:
    """FLOPs of one training step by phase, on the longest chain of dependent blocks (`critical`), and BP's total."""

    forward: float
    credit: float
    tangents: float
    critical: float
    total: float
    bp: float


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A pipeline on several devices: the speedup over BP on one device, the idle share of the time, and both for BP."""

    speedup: float
    bubble: float
    bp_speedup: float
    bp_bubble: float


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The modeled pipeline with `micro_batches` micro-batches, by number of devices ("2", "4")."""

    micro_batches: int
    devices: Mapping[str, Stage] = field(default_factory=dict, metadata=REST)


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Joules per step of the rule and of BP, from the GPU's own counter, and the watts of the card at rest."""

    step_j: float
    bp_step_j: float
    idle_w: float | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The cost of a step. `step_ratio` is the median of step time ÷ BP's; `low` and `high` are the quartiles.

    `gpu_processes` is the number of processes on the GPU, if its driver reports it.
    """

    step_ratio: float
    low: float
    high: float
    bp_step_s: float
    rounds: int
    split: Split | None
    holders: Holders | None
    flops: Flops | None
    speedup: float | None
    pipeline: Pipeline | None
    energy: Energy | None
    gpu_processes: int | None = field(default=None, metadata=OPTIONAL)

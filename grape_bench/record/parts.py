"""What one job measures, and where it ran: the parts of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grape_bench.record.typed_json import OPTIONAL, REST

# Keys that older records lack, or that only some jobs have, are optional: absent from the JSON where they are None.


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What the task is scored by: its name in score/metric.py, its unit, and the value that guessing gets."""

    name: str
    unit: str
    chance: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the trained network reaches. `test` and `test_loss` are None for a trial of a search. Losses in nats."""

    test: float | None = field(default=None, metadata=OPTIONAL)
    test_loss: float | None = field(default=None, metadata=OPTIONAL)
    validation: float
    validation_loss: float | None = field(default=None, metadata=OPTIONAL)
    train_loss: float


@dataclass(frozen=True, kw_only=True)
class Time:
    """Seconds by what they were spent on, summed over all processes that worked on the job in turn.

    `resumed` counts the times that it was resumed from a checkpoint; `samples` are training samples seen.
    """

    setup_s: float
    compile_s: float | None = field(default=None, metadata=OPTIONAL)
    train_s: float
    evaluate_s: float
    checkpoint_s: float | None = field(default=None, metadata=OPTIONAL)
    diagnose_s: float | None = field(default=None, metadata=OPTIONAL)
    profile_s: float | None = field(default=None, metadata=OPTIONAL)
    total_s: float | None = field(default=None, metadata=OPTIONAL)
    resumed: int | None = field(default=None, metadata=OPTIONAL)
    steps: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes before training, and the peak of training above them. `kind`: "rss" of the process, or "cuda"."""

    baseline_bytes: int
    peak_bytes: int
    kind: str


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
    """Bytes in memory by what holds them."""

    weights: int
    feedback: int
    gradients: int
    optimizer: int
    activations: int


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
    """A pipeline of some devices: speed-up over BP on one device, share of time spent waiting, and the same for BP."""

    speedup: float
    bubble: float
    bp_speedup: float
    bp_bubble: float


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """The model of a pipeline with `micro_batches`, by number of devices ("2", "4")."""

    micro_batches: int
    devices: Mapping[str, Stage] = field(default_factory=dict, metadata=REST)


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Joules of one step, and of one of BP's, by the GPU's own counter."""

    step_j: float
    bp_step_j: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a step costs. `step_ratio`: median of step time ÷ BP's, measured in turns; `low` and `high`: quartiles."""

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


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Counted use of exact gradients: passes through hidden blocks ÷ BP's, and the share that the rule declares."""

    bp_fraction: float | None
    declared_bp_fraction: float | None
    backward_passes: int
    hidden_block_passes: int


@dataclass(frozen=True, kw_only=True)
class Diagnostics:
    """The rows of diagnostics.csv in a few numbers, taken at `moments` of training; `failed` says why some are missing.

    `growth` and `gain` are those of the worst block. What was not measured, or is not finite, is None.
    """

    moments: int
    failed: str
    growth: float | None = None
    growth_block: str | None = None
    gain: float | None = None
    gain_block: str | None = None
    signal_cos: float | None = None
    null_cos: float | None = None
    feedback_cos: float | None = None
    weight_cos: float | None = None
    gradient_cos: float | None = None
    descent: float | None = None
    update_descent: float | None = None
    zoutendijk: float | None = None
    probe_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """How a block's feedback matrix is kept: the kind, its shape, and how many numbers that is."""

    kind: str
    shape: tuple[int, ...]
    numbers: int


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of the network: the name of the module that ends it, and its output's shape per sample."""

    name: str
    shape: tuple[int, ...]
    feedback: Feedback | None = None


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """How many parameter tensors get their gradient from the rule, exactly, or not at all."""

    rule: int
    exact: int
    frozen: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """The blocks that the rule works on."""

    blocks: tuple[Block, ...]
    parameters: Parameters


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data set: its name, samples by split, and what else its source tells (shape, classes, fingerprint ...)."""

    name: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict, metadata=REST)


@dataclass(frozen=True, kw_only=True)
class Git:
    """The commit of the checkout ("unknown" for an installed package), and whether files in it were changed."""

    commit: str
    dirty: bool | None


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The machine. Speed and memory are compared only between jobs of one `kind`, such as `cpu:AMD EPYCx2`."""

    kind: str = field(metadata={"key": "class"})
    cpu: str
    cores: int
    gpu: str | None
    threads: int


@dataclass(frozen=True, kw_only=True)
class SlurmJob:
    """The Slurm job, for a job whose worker could not write its record itself."""

    job: str
    state: str
    stdout: str
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Versions, source and hardware, as far as they can change a result or its speed."""

    python: str
    platform: str
    packages: Mapping[str, str]
    git: Git
    hardware: Hardware
    slurm: SlurmJob | None = field(default=None, metadata=OPTIONAL)

"""The parts of a record: what one job measured. The cost of a step and the environment have files of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grape_bench.record.typed_json import OPTIONAL, REST

# A key that older records lack, or that only some jobs have, is optional: None leaves it out of the JSON.


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The metric of the task: its name in score/metric.py, its unit, and the score of guessing."""

    name: str
    unit: str
    chance: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """The scores of the trained network. `test...` are None for a trial. Losses are in nats, or squared errors.

    `test_error` is the standard error of the test score due to the test samples, on the metric's scale of differences.
    """

    test: float | None = field(default=None, metadata=OPTIONAL)
    test_error: float | None = field(default=None, metadata=OPTIONAL)
    test_loss: float | None = field(default=None, metadata=OPTIONAL)
    validation: float
    validation_loss: float | None = field(default=None, metadata=OPTIONAL)
    train_loss: float


@dataclass(frozen=True, kw_only=True)
class Features:
    """The scores of a head that was fitted to convergence on what the output layer reads: see `train/head_fit.py`.

    `penalty` has the best validation score, or is None if the head was trained by steps. `test_error` is as in
    `Result`.
    """

    test: float
    test_error: float | None = field(default=None, metadata=OPTIONAL)
    validation: float
    penalty: float | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Time:
    """Seconds by activity, summed over all processes that worked on the job one after another.

    `compile_s` is the first step of a compiled model, and `warm_up_s` that of another model on a GPU. `resumed` counts
    how often the job resumed from a checkpoint. `samples` counts training samples.
    """

    setup_s: float
    compile_s: float | None = field(default=None, metadata=OPTIONAL)
    warm_up_s: float | None = field(default=None, metadata=OPTIONAL)
    train_s: float
    evaluate_s: float
    checkpoint_s: float | None = field(default=None, metadata=OPTIONAL)
    diagnose_s: float | None = field(default=None, metadata=OPTIONAL)
    profile_s: float | None = field(default=None, metadata=OPTIONAL)
    features_s: float | None = field(default=None, metadata=OPTIONAL)
    total_s: float | None = field(default=None, metadata=OPTIONAL)
    resumed: int | None = field(default=None, metadata=OPTIONAL)
    steps: int
    samples: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes before training, and the peak of training above them. `kind` is "rss" (the process) or "cuda".

    `live_bytes` is the peak of the tensors that a step adds to the weights, and `bp_live_bytes` that of BP's step.
    """

    baseline_bytes: int
    peak_bytes: int
    kind: str
    live_bytes: int | None = field(default=None, metadata=OPTIONAL)
    bp_live_bytes: int | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Credit:
    """How much backpropagation the rule used: passes through hidden blocks ÷ BP's, as counted and as declared.

    `declared_transport` is whether the rule declares that its backward reads the weights.
    `forward_passes` and `backward_passes` count passes of the whole network in `steps` training steps, including
    extra passes of the rule. `own_steps` is whether the rule changed weights without the optimizer.
    `absent_blocks` and `detours` are set if the model left out layers: see `PassCounts`.
    """

    bp_fraction: float | None
    declared_bp_fraction: float | None
    backward_passes: int
    hidden_block_passes: int
    steps: int | None = field(default=None, metadata=OPTIONAL)
    forward_passes: int | None = field(default=None, metadata=OPTIONAL)
    absent_blocks: int | None = field(default=None, metadata=OPTIONAL)
    detours: int | None = field(default=None, metadata=OPTIONAL)
    declared_transport: bool | None = field(default=None, metadata=OPTIONAL)
    transport: str | None = field(default=None, metadata=OPTIONAL)
    transport_allowed: bool | None = field(default=None, metadata=OPTIONAL)
    anchor_share: float | None = field(default=None, metadata=OPTIONAL)
    own_steps: bool | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Diagnostics:
    """A summary of diagnostics.csv, with rows from `moments` times. `failed` says why some rows are missing.

    `growth` and `gain` belong to the worst block. A value is None if it was not measured or is not finite.
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
    probe_r2: float | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """How a block's feedback matrix is stored: the kind, the shape, and the count of numbers."""

    kind: str
    shape: tuple[int, ...]
    numbers: int


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of the network: the name of its last module, and the shape of its output per sample."""

    name: str
    shape: tuple[int, ...]
    feedback: Feedback | None = None


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """How many parameter tensors get the rule's, the exact, or no gradient, and how many the rule itself owns."""

    rule: int
    exact: int
    frozen: int
    owned: int | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Owned:
    """A parameter that belongs to the rule, named "block/module.parameter", and its count of numbers."""

    name: str
    numbers: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """The blocks that the rule works on, and the parameters that it owns there."""

    blocks: tuple[Block, ...]
    parameters: Parameters
    owned: tuple[Owned, ...] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data set: its name, samples by split, and other facts from its source (shape, classes, fingerprint ...)."""

    name: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict, metadata=REST)

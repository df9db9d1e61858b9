"""The schema of suite files, and of files with a [cluster] table.

Nothing in a cluster table can change a result, so it is not part of a job's identity.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, JsonValue, model_validator

from grape_bench.arguments import STRICT
from grape_bench.plan.sources import task_sources
from grape_bench.record.rule_name import RuleName

DIMENSIONS = 6  # the most settings that one search may cover
TUNING_SEED = 1_000_000  # the seed of the first trial; a suite's own seeds stay below it

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "linear", "step")

# Names become folders, MLflow names and the first part of `--set NAME.KEY`, so they hold no dots, spaces or slashes.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Glob = Annotated[str, Field(min_length=1)]  # a pattern of module names, such as "layers.*"
Settings = dict[str, JsonValue]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]


class TomlTable(BaseModel):
    """A table of a suite file. Unknown keys and wrong types are errors; no value is converted."""

    model_config = {**STRICT, "populate_by_name": True}

    @model_validator(mode="before")
    @classmethod
    def _no_device(cls, content: Any) -> Any:
        if isinstance(content, dict) and "device" in content:
            raise ValueError("device is not a setting: jobs run on CUDA if it is there, else on the CPU, never on mps")
        return content


class Slurm(TomlTable):
    """Options that only Slurm uses."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    array_parallelism: Count | None = None  # jobs that run at once; None leaves this to Slurm
    setup: list[str] = []  # shell lines to run before each job
    options: dict[str, JsonValue] = {}  # any other sbatch option, by its long name


class Ray(TomlTable):
    """Options that only Ray uses."""

    address: str | None = None  # a running cluster, or "auto"; None starts one on this machine
    resources: dict[str, Positive] = {}  # custom resources


class Cluster(TomlTable):
    """The resources for one process of a job. A job with `nproc` processes requests `nproc` times as much."""

    cpus: Count = 1
    gpus: NotNegative = 0.0  # a fraction such as 0.25 lets several jobs share a GPU (Ray)
    memory_gb: Positive | None = None
    minutes: Count | None = None  # the time limit
    slurm: Slurm = Slurm()
    ray: Ray = Ray()

    def updated(self, other: Cluster) -> Cluster:
        """A copy in which the keys that `other` sets replace this table's."""
        mine, theirs = (one.model_dump(exclude_unset=True) for one in (self, other))
        inner = {name: {**mine.get(name, {}), **theirs.get(name, {})} for name in ("slurm", "ray")}
        return Cluster.model_validate({**mine, **theirs, **inner})


class Optimizer(TomlTable):
    """The optimizer of a task. A setting that is absent keeps the optimizer's own default.

    `sgd`, `adam` and `adamw` are PyTorch's. Others are `torch:CLASS`, `timm:NAME` or `file.py:name`.
    """

    name: str
    lr: Positive
    weight_decay: NotNegative | None = None
    momentum: Fraction | None = None
    betas: Annotated[list[Fraction], Field(min_length=2, max_length=2)] | None = None
    implementation: Literal["fused", "foreach"] | None = None  # of PyTorch's optimizer
    args: Settings | None = None  # more arguments of the optimizer

    @model_validator(mode="after")
    def _settings_of_this_optimizer(self) -> Optimizer:
        if self.name == "sgd" and self.betas is not None:
            raise ValueError("betas is a setting of adam and adamw, not of sgd")
        if self.name in ("adam", "adamw") and self.momentum is not None:
            raise ValueError(f"momentum is a setting of sgd, not of {self.name}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """The settings that the suite gives."""
        return self.model_dump(exclude_none=True)


class Group(TomlTable):
    """Settings of the parameters that a pattern matches. `lr_scale` is a factor on the optimizer's rate."""

    lr_scale: Positive | None = None
    weight_decay: NotNegative | None = None
    frozen: Literal[True] | None = None

    @model_validator(mode="after")
    def _trained_or_frozen(self) -> Group:
        if self.frozen and (self.lr_scale is not None or self.weight_decay is not None):
            raise ValueError("a frozen group has no other settings")
        return self


class Task(TomlTable):
    """One model on one data set, trained for a budget of `epochs`, or of `steps` of the optimizer."""

    name: Name
    model: str
    model_args: Settings = {}
    dataset: str
    dataset_args: Settings = {}
    epochs: Count | None = None
    steps: Count | None = None
    evaluate_every: Count | None = None
    batch_size: Count
    optimizer: Optimizer
    accumulate: Count = 1
    clip: Positive | None = None
    decay: Literal["all", "weights"] = "all"
    groups: Annotated[dict[str, Group], Field(min_length=1)] | None = None
    schedule: str = "constant"
    schedule_args: Settings | None = None
    warmup: Annotated[int, Field(ge=0)] = 0
    ema: Fraction | None = None
    select: Literal["last", "best"] = "last"
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    blocks: Annotated[list[Glob], Field(min_length=1)] | None = None
    granularity: Literal["block", "layer"] = "block"
    cuts: Literal["depth", "time", "both"] = "depth"
    objective: str | None = None
    objective_args: Settings | None = None
    compile: bool = False
    deterministic: bool = False
    nproc: Count = 1
    seeds: Count | None = None  # the first N of the suite's seeds; None means all
    only: Annotated[list[str], Field(min_length=1)] | None = None
    skip: list[str] = []
    rule: dict[str, Settings] = {}

    def has(self, rule: str) -> bool:
        """Whether `rule` runs on this task. `only` does not restrict rules from a user's own files."""
        allowed = self.only is None or rule in self.only or bool(RuleName.parse(rule).file)
        return allowed and rule not in self.skip

    @property
    def wide(self) -> bool:
        """Whether every rule of the suite may run here, that is, the task has no list `only`."""
        return self.only is None

    @cached_property
    def sources(self) -> dict[str, Any]:
        """The hashes of the user's files that the task names: see `task_sources`. They are read once per command."""
        return task_sources({**self.model_dump(), "optimizer": self.optimizer.to_dict()})

    @model_validator(mode="after")
    def _one_budget(self) -> Task:
        if self.epochs is None and self.steps is None:
            raise ValueError("'epochs' is missing, or 'steps' for a budget in steps of the optimizer")
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give either 'epochs' or 'steps'")
        return self

    @model_validator(mode="after")
    def _equal_batches(self) -> Task:
        if self.batch_size % self.nproc:
            raise ValueError(f"batch_size {self.batch_size} is not divisible by nproc {self.nproc}")
        return self


class Axis(TomlTable):
    """The values that tuning may try for one setting: a range on a log or linear scale, or a list of choices."""

    log: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    linear: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    choice: Annotated[list[JsonValue], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Axis:
        if sum(kind is not None for kind in (self.log, self.linear, self.choice)) != 1:
            raise ValueError("give exactly one of log = [low, high], linear = [low, high], choice = [...]")
        bounds = self.log or self.linear
        if bounds and bounds[0] >= bounds[1]:
            raise ValueError(f"the lower bound {bounds[0]} is not below the upper bound {bounds[1]}")
        return self

    def at(self, fraction: float) -> JsonValue:
        """The value at `fraction` (0 to 1) of the axis, rounded to 4 digits, so that it is equal on every machine."""
        if self.choice is not None:
            return self.choice[min(int(fraction * len(self.choice)), len(self.choice) - 1)]
        if self.linear is not None:
            low, high = self.linear
            return float(f"{low + fraction * (high - low):.4g}")
        assert self.log is not None
        low, high = self.log
        return float(f"{low * (high / low) ** fraction:.4g}")


Space = dict[str, Axis]


class Tuning(TomlTable):
    """The search for settings, with the same number of trials for every rule. `rule` adds settings for one rule.

    A trial has the share `budget` of its task's epochs or steps.
    With `own_settings`, each shipped rule also searches the settings that its paper tunes (`rules.catalog`).
    """

    trials: Annotated[int, Field(ge=1, le=1000)]
    budget: Annotated[float, Field(gt=0, le=1)] = 1.0
    space: Annotated[Space, Field(min_length=1, max_length=DIMENSIONS)]
    own_settings: bool = False
    rule: dict[str, Space] = {}


class Suite(TomlTable):
    """A whole suite file."""

    name: Name
    version: Version
    rules: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[int, Field(ge=1, le=TUNING_SEED)]
    probes: Annotated[int, Field(ge=0)] | None = None
    features: Literal[False] | None = None
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None  # as a share of BP - the control; None means a tenth
    tasks: Annotated[list[Task], Field(alias="task", min_length=1)]
    rule: dict[str, Settings] = {}
    tuning: Tuning | None = None
    cluster: Cluster = Cluster()

    def seeds_of(self, task: Task) -> int:
        """The number of seeds of each rule on `task`."""
        return min(self.seeds, task.seeds or self.seeds)

    def tasks_of(self, rule: str) -> list[Task]:
        """The tasks on which `rule` runs."""
        return [task for task in self.tasks if task.has(rule)]

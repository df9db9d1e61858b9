"""What a suite file may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from grape_bench.plan.cluster import Cluster
from grape_bench.plan.part import Count, Fraction, Name, NotNegative, Part, Positive, Settings, Version

DIMENSIONS = 6  # of a search, at most
TUNING_SEED = 1_000_000  # of the first trial; a suite's own seeds stay below it

# In [rule.NAME] these change the optimizer for that rule; everything else goes to the rule itself.
OPTIMIZER_OVERRIDES = ("lr", "weight_decay", "momentum", "betas")


class Optimizer(Part):
    """The optimizer of a task; what is not given is the optimizer's own default."""

    name: Literal["sgd", "adam", "adamw"]
    lr: Positive
    weight_decay: NotNegative | None = None
    momentum: Fraction | None = None
    betas: Annotated[list[Fraction], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def _settings_of_this_optimizer(self) -> Optimizer:
        if self.name == "sgd" and self.betas is not None:
            raise ValueError("betas is a setting of adam and adamw, not of sgd")
        if self.name != "sgd" and self.momentum is not None:
            raise ValueError(f"momentum is a setting of sgd, not of {self.name}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """The settings that were given."""
        return self.model_dump(exclude_none=True)


class Task(Part):
    """One model on one data set, trained for a fixed budget."""

    name: Name
    model: str
    model_args: Settings = {}
    dataset: str
    dataset_args: Settings = {}
    epochs: Count
    batch_size: Count
    optimizer: Optimizer
    schedule: Literal["constant", "cosine"] = "constant"
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    deterministic: bool = False
    nproc: Count = 1
    rule: dict[str, Settings] = {}

    @model_validator(mode="after")
    def _batches_in_equal_parts(self) -> Task:
        if self.batch_size % self.nproc:
            raise ValueError(f"batch_size {self.batch_size} cannot be shared out evenly among {self.nproc} processes")
        return self


class Axis(Part):
    """The values that tuning may give one setting: a range, on a log or a linear scale, or a choice."""

    log: Annotated[list[Positive], Field(min_length=2, max_length=2)] | None = None
    linear: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    choice: Annotated[list[JsonValue], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Axis:
        if sum(kind is not None for kind in (self.log, self.linear, self.choice)) != 1:
            raise ValueError("give one of log = [low, high], linear = [low, high], choice = [...]")
        bounds = self.log or self.linear
        if bounds and bounds[0] >= bounds[1]:
            raise ValueError(f"the lower bound {bounds[0]} is not below the upper bound {bounds[1]}")
        return self

    def at(self, fraction: float) -> JsonValue:
        """The value at `fraction` of the way, 0 to 1; numbers have 4 digits, so that every machine says the same."""
        if self.choice is not None:
            return self.choice[min(int(fraction * len(self.choice)), len(self.choice) - 1)]
        if self.linear is not None:
            low, high = self.linear
            return float(f"{low + fraction * (high - low):.4g}")
        assert self.log is not None
        low, high = self.log
        return float(f"{low * (high / low) ** fraction:.4g}")


Space = dict[str, Axis]


class Tuning(Part):
    """The search that every rule gets, of equal size for all; `rule` adds settings that only one rule has."""

    trials: Annotated[int, Field(ge=1, le=1000)]
    space: Annotated[Space, Field(min_length=1, max_length=DIMENSIONS)]
    rule: dict[str, Space] = {}

    @model_validator(mode="after")
    def _few_dimensions(self) -> Tuning:
        for name, axes in self.rule.items():
            if len({**self.space, **axes}) > DIMENSIONS:
                raise ValueError(f"more than {DIMENSIONS} settings to search for {name}, with those of all rules")
        return self


class Suite(Part):
    """A whole suite file."""

    name: Name
    version: Version
    rules: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[int, Field(ge=1, le=TUNING_SEED)]
    probes: Annotated[int, Field(ge=0)] | None = None
    tasks: Annotated[list[Task], Field(alias="task", min_length=1)]
    rule: dict[str, Settings] = {}
    tuning: Tuning | None = None
    cluster: Cluster = Cluster()

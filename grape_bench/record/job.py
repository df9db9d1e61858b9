"""One training run: what to train and how, and the id that identifies its record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from functools import cache, cached_property
from hashlib import sha256
from typing import Any

from grape_bench.record.rule_name import RuleName
from grape_bench.record.typed_json import decode, encode
from grape_bench.registry import is_file_reference

# Raise this if jobs with the same settings would give other results, as after a bug fix in the engine.
# Every job with an older version then runs again.
IDENTITY_VERSION = 1


class Of(StrEnum):
    """The group that a field of a job belongs to. Code that treats several fields alike asks for their group."""

    SUITE = "suite"  # the suite and the task
    TASK = "task"  # copied from the suite's task: the budget, equal for all rules of the task
    SOURCE = "source"  # hashes of the user's own code and files that the task uses
    DATA = "data"  # the content of a data set that the id covers only by its name
    LAUNCH = "launch"  # how processes share the work; the total batch and the budget stay the same
    RULE = "rule"  # the rule and its settings
    SEARCH = "search"  # how many trials the search took: equal for all rules of a table
    ENGINE = "engine"  # the version of the code: an integer per part; absent means 1
    SEED = "seed"
    TRIAL = "trial"  # the number of a trial in a search
    MEASURING = "measuring"  # extra measurements that do not change the result
    STATED = "stated"  # what a table states about the job; it does not change the result


OPTIMIZER_SETTINGS = ("lr", "weight_decay", "momentum", "betas")
"""In [rule.NAME] of a suite, these keys change the optimizer for that rule. Every other key goes to the rule itself."""

NOT_IN_ID = (Of.MEASURING, Of.STATED, Of.DATA)


def _part(of: Of, default: Any = MISSING) -> Any:
    """A field of a job. The id leaves out a field at its default, so that ids from before the field stay valid."""
    return field(default=default, compare=of not in NOT_IN_ID, metadata={"of": of, "optional": of is Of.STATED})


@dataclass(frozen=True)
class Job:
    """One seed of one rule on one task of a suite."""

    KNOWS_ALL_KEYS = True  # the id of a record with an unknown setting cannot be checked

    suite: str = _part(Of.SUITE)
    version: str = _part(Of.SUITE)
    task: str = _part(Of.SUITE)
    rule: str = _part(Of.RULE)  # as the user writes it: "grape+anchor", "path/my.py:MyRule"
    rule_settings: dict[str, Any] = _part(Of.RULE)  # constructor arguments of the rule
    rule_source: str = _part(Of.RULE)  # hash of the rule's code; frozen for a built-in rule
    seed: int = _part(Of.SEED)
    model: str = _part(Of.TASK)
    model_args: dict[str, Any] = _part(Of.TASK)
    dataset: str = _part(Of.TASK)
    dataset_args: dict[str, Any] = _part(Of.TASK)
    epochs: int | None = _part(Of.TASK)  # None if the budget is in steps
    batch_size: int = _part(Of.TASK)
    # {"name": "adamw", "lr": 0.001, ...}: the task's optimizer with this rule's overrides
    optimizer: dict[str, Any] = _part(Of.RULE)
    schedule: str = _part(Of.TASK)  # "constant", "cosine", "linear", "step" or "file.py:name"
    precision: str = field(default="fp32", metadata={"of": Of.TASK, "always": True})
    blocks: list[str] | None = _part(Of.TASK, None)  # patterns of the modules to cut at; None searches for them
    granularity: str = _part(Of.TASK, "block")  # "block", or "layer" for cuts inside the blocks too
    cuts: str = _part(Of.TASK, "depth")  # "depth", "time" or "both", for modules that are called several times
    compile: bool = _part(Of.TASK, False)  # use torch.compile
    deterministic: bool = _part(Of.TASK, False)  # allow only operations that are deterministic bit for bit
    steps: int | None = _part(Of.TASK, None)  # of the optimizer, instead of epochs
    accumulate: int = _part(Of.TASK, 1)  # batches per step of the optimizer
    evaluate_every: int | None = _part(Of.TASK, None)  # steps; None means once per epoch
    warmup: int = _part(Of.TASK, 0)  # steps in which the rate grows linearly
    schedule_args: dict[str, Any] | None = _part(Of.TASK, None)
    clip: float | None = _part(Of.TASK, None)  # the largest norm of the gradients
    decay: str = _part(Of.TASK, "all")  # "weights" leaves norms and biases without weight decay
    groups: dict[str, dict[str, Any]] | None = _part(Of.TASK, None)  # settings of groups of parameters, by pattern
    ema: float | None = _part(Of.TASK, None)  # decay of the average of the weights that is evaluated
    select: str = _part(Of.TASK, "last")  # or "best": the weights with the best validation score are tested
    objective: str | None = _part(Of.TASK, None)  # None means the data set's default
    objective_args: dict[str, Any] | None = _part(Of.TASK, None)
    # Hashes of the user's own code (`user_code.py`); empty for what ships with the package.
    model_source: str = _part(Of.SOURCE, "")
    objective_source: str = _part(Of.SOURCE, "")
    dataset_source: str = _part(Of.SOURCE, "")  # of the loader and the augmentation
    optimizer_source: str = _part(Of.SOURCE, "")
    schedule_source: str = _part(Of.SOURCE, "")
    # Hashes of the local files and folders that the settings name, by place, such as `dataset` or `model_args/file`.
    # The id has the hash instead of the name.
    contents: dict[str, str] | None = _part(Of.SOURCE, None)
    rule_contents: dict[str, str] | None = _part(Of.RULE, None)  # the same for the rule's settings
    data_content: str = _part(Of.DATA, "")  # hash of $GRAPE_BENCH_DATA/NAME, if the data set was read from there
    nproc: int = _part(Of.LAUNCH, 1)  # processes that train the job together, each on its share of every batch
    trials: int = _part(Of.SEARCH, 1)  # trials behind this rule's settings; 1 means the suite's own settings
    numerics: dict[str, int] = field(default_factory=dict, metadata={"of": Of.ENGINE})  # see `plan/numerics.py`
    trial: int | None = _part(Of.TRIAL, None)  # a trial never reads the test split
    profile: bool = _part(Of.MEASURING, False)  # also measure the step time relative to BP
    probes: int | None = _part(Of.MEASURING, None)  # how often to take diagnostics; None picks a cheap number
    # False fits no converged head on the trained features.
    features: bool | None = field(default=None, compare=False, metadata={"of": Of.MEASURING, "optional": True})
    margin: float | None = _part(Of.STATED, None)  # the suite's margin for "tied"; None means the default
    space: dict[str, Any] | None = _part(Of.STATED, None)  # what the search for this rule's settings could try
    looks: int | None = _part(Of.STATED, None)  # the planned looks that set the number of seeds; None if it was fixed
    open_by: str | None = _part(Of.STATED, None)  # who sent the open settings of this rule

    @cached_property
    def id(self) -> str:
        """16 hex digits. Two jobs with one id must give the same result, on any machine and with any executor.

        For a file or folder of the user's, the id covers the content but not the path. A data set with a name, such as
        `mnist`, counts by its name, because it may come from a folder or from the Hub. `data_content` has its hash.
        """
        return digest(f"{IDENTITY_VERSION}:{canonical(self._content(self._contents()))}")

    @property
    def definition(self) -> str:
        """16 hex digits that identify what settings are tuned for: the task, its budget and the suite's rule settings.

        Call this on a job without tuned settings. The seed, the sources, `numerics` and `nproc` are left out.
        """
        left_out = {"rule_source", *names_of(Of.SOURCE, Of.ENGINE, Of.SEED, Of.LAUNCH)}
        content = self._content(dict.fromkeys(self._contents(), ""))
        return digest(canonical({key: value for key, value in content.items() if key not in left_out}))

    def is_current(self, recorded: Job) -> bool:
        """Whether the result of `recorded`, a job with the same id, holds for this job: it ran on the same data."""
        return recorded.data_content in ("", self.data_content) or not self.data_content

    def settings(self, *of: Of) -> dict[str, Any]:
        """The settings in the groups `of` that are not at their default, without the names of the user's files."""
        content = self._content(dict.fromkeys(self._contents(), ""))
        return {name: content[name] for name in names_of(*of) if name in content}

    def portable(self, *of: Of) -> dict[str, Any]:
        """Like `parts`, with the hashes of the user's files and folders instead of their paths."""
        names = names_of(*of)
        return {**self.parts(*of), **{k: v for k, v in self._content(self._contents()).items() if k in names}}

    def named(self) -> Iterator[tuple[str, Any, str]]:
        """The local files and folders that the settings name: the place, the name without a source, and the hash."""
        values = dict(leaves(self.parts(Of.TASK, Of.RULE)))
        for place, content in self._contents().items():
            name = values[place].partition(":")[2] if place in ("model", "dataset") else values[place]
            yield place, name, content

    def _contents(self) -> dict[str, str]:
        return {**(self.contents or {}), **(self.rule_contents or {})}

    def _content(self, hashes: Mapping[str, str]) -> dict[str, Any]:
        """Every field that can change the result, with `hashes` instead of the names of local files and folders."""
        content = {name: value for name, default in _in_id() if (value := getattr(self, name)) != default}
        if hashes:
            content = replaced(content, hashes)
        content["rule"] = self.rule_name.label
        if self.model_source and is_file_reference(self.model):
            content["model"] = self.model.rpartition(":")[2]
        if self.objective_source:
            content["objective"] = str(self.objective).rpartition(":")[2]  # the class, but not the path of its file
        if self.optimizer_source:
            content["optimizer"] = {**self.optimizer, "name": str(self.optimizer["name"]).rpartition(":")[2]}
        if self.schedule_source:
            content["schedule"] = self.schedule.rpartition(":")[2]
        if self.dataset_source:
            content |= _data_without_paths(content)
        raised = {part: integer for part, integer in self.numerics.items() if integer != 1}
        for left_out in ("numerics", "contents", "rule_contents"):
            content.pop(left_out, None)
        return {**content, "numerics": raised} if raised else content

    @property
    def rule_name(self) -> RuleName:
        """The parsed name of the rule."""
        return RuleName.parse(self.rule)

    @cached_property
    def name(self) -> str:
        """The name of the job's folder, such as `digits-mlp.dfa+anchor.s0.1a2b3c4d`."""
        which = f"s{self.seed}" if self.trial is None else f"t{self.trial}"
        return f"{self.task}.{self.rule_name.file_label}.{which}.{self.id[:8]}"

    @property
    def budget(self) -> str:
        """The length of the training, such as `20 epochs` or `2000 steps`."""
        return f"{self.steps} steps" if self.steps else f"{self.epochs} epochs"

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON types."""
        content: dict[str, Any] = encode(self)
        return content

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """The job that `to_dict` encoded. A missing field gets its default. Raises ShapeError."""
        return decode(cls, values)

    def parts(self, *of: Of) -> dict[str, Any]:
        """The values of the fields in the groups `of`."""
        return {name: getattr(self, name) for name in names_of(*of)}

    def __str__(self) -> str:
        which = f"seed {self.seed}" if self.trial is None else f"trial {self.trial}"
        return f"{self.task} {self.rule_name.label} {which}"


def _data_without_paths(content: Mapping[str, Any]) -> dict[str, Any]:
    """The data set and its arguments, with `path/to/file.py:name` shortened to `name`."""
    dataset, args, augment = content["dataset"], dict(content["dataset_args"]), "augment_with"
    if augment in args:
        args[augment] = str(args[augment]).rpartition(":")[2]
    return {"dataset": dataset.rpartition(":")[2] if is_file_reference(dataset) else dataset, "dataset_args": args}


@cache
def names_of(*of: Of) -> tuple[str, ...]:
    """The names of a job's fields in the groups `of`."""
    return tuple(each.name for each in fields(Job) if each.metadata["of"] in of)


@cache
def _in_id() -> tuple[tuple[str, Any], ...]:
    """The names and defaults of the fields that can change the result. A field that always counts has no default."""
    counted = [each for each in fields(Job) if each.metadata["of"] not in NOT_IN_ID]
    return tuple((each.name, MISSING if each.metadata.get("always") else each.default) for each in counted)


def leaves(values: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The values inside nested dicts and lists, each with its place: {"a": {"b": [5]}} has 5 at `a/b/0`."""
    if isinstance(values, Mapping | list):
        for key, inner in values.items() if isinstance(values, Mapping) else enumerate(values):
            yield from leaves(inner, f"{place}/{key}" if place else str(key))
    else:
        yield place, values


def replaced(values: Any, new: Mapping[str, str], place: str = "") -> Any:
    """`values` with `new` strings at some places. At `model` and `dataset` the source is kept, as in `csv:NEW`."""
    if isinstance(values, Mapping):
        return {key: replaced(inner, new, f"{place}/{key}" if place else str(key)) for key, inner in values.items()}
    if isinstance(values, list):
        return [replaced(inner, new, f"{place}/{index}") for index, inner in enumerate(values)]
    if place not in new:
        return values
    return f"{values.partition(':')[0]}:{new[place]}" if place in ("model", "dataset") else new[place]


def canonical(content: Any) -> str:
    """JSON text that is equal for equal content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """The start of the SHA-256 of `text`: 16 hex digits."""
    return sha256(text.encode()).hexdigest()[:16]

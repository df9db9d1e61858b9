"""One training run: what is trained, how, and the id under which its record is found again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from hashlib import sha256
from typing import Any

from grape_bench.record.rule_name import RuleName
from grape_bench.record.typed_json import decode, encode

# Raise this when jobs with the same settings would give other results (a changed loop, a corrected engine):
# every record with an older version is then run again.
IDENTITY_VERSION = 1


class Of(StrEnum):
    """What a field of a job belongs to. All that treats fields alike is derived from this."""

    SUITE = "suite"  # which suite and which of its tasks
    TASK = "task"  # copied from the suite's task: the budget that all rules of the task share
    LAUNCH = "launch"  # how the processes share the work: the joint batch, and with it the budget, stays the same
    RULE = "rule"  # the rule and its settings
    SEARCH = "search"  # how much the search for the settings cost: the same for all rules of a table
    ENGINE = "engine"  # which version of the code: an integer per part, absent means 1
    SEED = "seed"
    TRIAL = "trial"  # the number of a trial of a search
    MEASURING = "measuring"  # what is measured beside the training, which does not change the result


def _part(of: Of, default: Any = MISSING) -> Any:
    """A field. One with a default came later or measures: the id leaves the default out, so that older ids hold."""
    return field(default=default, compare=of is not Of.MEASURING, metadata={"of": of})


@dataclass(frozen=True)
class Job:
    """One seed of one rule on one task of a suite."""

    KNOWS_ALL_KEYS = True  # a record with a setting that this version does not know has an id that it cannot check

    suite: str = _part(Of.SUITE)
    version: str = _part(Of.SUITE)
    task: str = _part(Of.SUITE)
    rule: str = _part(Of.RULE)  # as the user writes it: "grape+anchor", "path/my.py:MyRule"
    rule_settings: dict[str, Any] = _part(Of.RULE)  # constructor arguments of the rule
    rule_source: str = _part(Of.RULE)  # hash of the rule's file; frozen for a built-in rule, whose `numerics` counts
    seed: int = _part(Of.SEED)
    model: str = _part(Of.TASK)
    model_args: dict[str, Any] = _part(Of.TASK)
    dataset: str = _part(Of.TASK)
    dataset_args: dict[str, Any] = _part(Of.TASK)
    epochs: int = _part(Of.TASK)
    batch_size: int = _part(Of.TASK)
    # {"name": "adamw", "lr": 0.001, ...}: the task's with this rule's overrides, hence not the same for all rules
    optimizer: dict[str, Any] = _part(Of.RULE)
    schedule: str = _part(Of.TASK)  # "constant" or "cosine"
    precision: str = field(default="fp32", metadata={"of": Of.TASK, "always": True})
    compile: bool = _part(Of.TASK, False)  # with torch.compile
    deterministic: bool = _part(Of.TASK, False)  # only operations that repeat bit for bit
    nproc: int = _part(Of.LAUNCH, 1)  # processes that train it together, each with its part of every batch
    trials: int = _part(Of.SEARCH, 1)  # of the search that found this rule's settings; 1: the suite's own settings
    numerics: dict[str, int] = field(default_factory=dict, metadata={"of": Of.ENGINE})  # see `plan/numerics.py`
    trial: int | None = _part(Of.TRIAL, None)  # such a job never reads the test split
    profile: bool = _part(Of.MEASURING, False)  # measure step time against BP in this job
    probes: int | None = _part(Of.MEASURING, None)  # moments of diagnostics; None: as many as cost little

    @property
    def id(self) -> str:
        """16 hex digits: equal for two jobs that must give the same result, wherever and however they run.

        A rule from a file counts by its class name and the file's content, not by the file's path.
        """
        return digest(f"{IDENTITY_VERSION}:{canonical(self._content())}")

    @property
    def definition(self) -> str:
        """16 hex digits for what settings are tuned to: the task, its budget, the suite's settings of the rule.

        Meant for a job without tuned settings. Its seed, the rule's source, the integers of `numerics` and the number
        of processes do not count.
        """
        left_out = {"rule_source", *names_of(Of.ENGINE, Of.SEED, Of.LAUNCH)}
        return digest(canonical({key: value for key, value in self._content().items() if key not in left_out}))

    def _content(self) -> dict[str, Any]:
        """All that can change the result."""
        content = {}
        for each in fields(self):
            value = getattr(self, each.name)
            is_default = value == each.default and not each.metadata.get("always")
            if each.metadata["of"] is not Of.MEASURING and not is_default:
                content[each.name] = value
        content["rule"] = self.rule_name.label
        raised = {part: integer for part, integer in self.numerics.items() if integer != 1}
        content.pop("numerics", None)
        return {**content, "numerics": raised} if raised else content

    @property
    def rule_name(self) -> RuleName:
        """The rule's name, taken apart."""
        return RuleName.parse(self.rule)

    @property
    def name(self) -> str:
        """The job's folder, such as `digits-mlp.dfa+anchor.s0.1a2b3c4d`."""
        which = f"s{self.seed}" if self.trial is None else f"t{self.trial}"
        return f"{self.task}.{self.rule_name.file_label}.{which}.{self.id[:8]}"

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON types."""
        content: dict[str, Any] = encode(self)
        return content

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """The job that `to_dict` wrote, a field that is missing at its default; raises ShapeError."""
        return decode(cls, values)

    def parts(self, *of: Of) -> dict[str, Any]:
        """The values of the fields that belong to one of `of`."""
        return {name: getattr(self, name) for name in names_of(*of)}

    def __str__(self) -> str:
        which = f"seed {self.seed}" if self.trial is None else f"trial {self.trial}"
        return f"{self.task} {self.rule} {which}"


def names_of(*of: Of) -> tuple[str, ...]:
    """The names of a job's fields that belong to one of `of`."""
    return tuple(each.name for each in fields(Job) if each.metadata["of"] in of)


def canonical(content: Any) -> str:
    """JSON that is equal for equal content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """16 hex digits that stand for `text`."""
    return sha256(text.encode()).hexdigest()[:16]

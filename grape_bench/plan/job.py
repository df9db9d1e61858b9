"""One training run: what is trained, how, and the identity that finds its record again."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from grape_bench.registry import is_file_reference
from grape_bench.rules.names import ANCHOR, split_anchor

# Raised when a job of the same settings would give another result (a changed loop, a corrected engine):
# every record of an older version is then run again.
IDENTITY_VERSION = 1
# Fields that came later, with the value that older jobs had: it is left out, so that their ids still hold.
_ADDED: dict[str, Any] = {
    "compile": False,
    "deterministic": False,
    "nproc": 1,
    "trials": 1,
    "trial": None,
    "numerics": {},  # with the parts whose integer is 1 left out
}

MEASURING = ("profile", "probes")
"""Fields of a job that say what is measured beside it."""


@dataclass(frozen=True)
class Job:
    """One seed of one rule on one task of a suite."""

    suite: str
    version: str
    task: str
    rule: str  # as the user writes it: "grape+anchor", "path/my.py:MyRule"
    rule_settings: dict[str, Any]  # constructor arguments of the rule
    rule_source: str  # hash of the file that defines the rule; frozen for a built-in one, whose `numerics` counts
    seed: int
    model: str
    model_args: dict[str, Any]
    dataset: str
    dataset_args: dict[str, Any]
    epochs: int
    batch_size: int
    optimizer: dict[str, Any]  # {"name": "adamw", "lr": 0.001, ...}, this rule's overrides applied
    schedule: str  # "constant" or "cosine"
    precision: str = "fp32"
    compile: bool = False  # by torch.compile
    deterministic: bool = False  # of operations that have two ways only the one that repeats itself
    nproc: int = 1  # processes that train it together, each with its part of every batch
    trials: int = 1  # of the search that found this rule's settings; 1: the suite says them itself
    trial: int | None = None  # the number of a trial of a search; such a job never reads the test split
    numerics: dict[str, int] = field(default_factory=dict)  # of each part, see `plan/numerics.py`; absent means 1
    profile: bool = field(default=False, compare=False)  # measure step time against BP in this job
    probes: int | None = field(default=None, compare=False)  # moments of diagnostics; None: as many as cost little

    @property
    def id(self) -> str:
        """16 hex digits: equal for two jobs that must give the same result, wherever and however they run.

        A rule from a file counts by its class name and the file's content, not by the file's path. `profile`
        and `probes` do not count: they measure the job and do not change it.
        """
        return digest(f"{IDENTITY_VERSION}:{canonical(self._content())}")

    @property
    def definition(self) -> str:
        """16 hex digits for what settings are tuned to: the task, its budget, the suite's settings of the rule.

        Of a job without tuned settings; its seed, the rule's source, the integers of `numerics` and the number of
        processes, whose joint batch is the same, do not count.
        """
        ignored = ("seed", "rule_source", "numerics", "nproc")
        content = {key: value for key, value in self._content().items() if key not in ignored}
        return digest(canonical(content))

    def _content(self) -> dict[str, Any]:
        """All that can change the result."""
        content = {key: value for key, value in self.to_dict().items() if key not in MEASURING}
        content["rule"] = rule_label(self.rule)
        content["numerics"] = {part: integer for part, integer in self.numerics.items() if integer != 1}
        return {key: value for key, value in content.items() if key not in _ADDED or value != _ADDED[key]}

    @property
    def name(self) -> str:
        """The job's folder, such as `digits-mlp.dfa+anchor.s0.1a2b3c4d`."""
        which = f"s{self.seed}" if self.trial is None else f"t{self.trial}"
        return f"{self.task}.{file_label(self.rule)}.{which}.{self.id[:8]}"

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Job:
        """The job that `to_dict` wrote."""
        return cls(**values)

    def __str__(self) -> str:
        which = f"seed {self.seed}" if self.trial is None else f"trial {self.trial}"
        return f"{self.task} {self.rule} {which}"


def rule_label(rule: str) -> str:
    """A rule's name without the path of its file: `path/my.py:MyRule+anchor` as `MyRule+anchor`."""
    base, anchored = split_anchor(rule)
    if is_file_reference(base):
        base = base.rpartition(":")[2]
    return base + ANCHOR if anchored else base


def file_label(rule: str) -> str:
    """A rule's label as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_+-]", "-", rule_label(rule))


def canonical(content: dict[str, Any]) -> str:
    """JSON that is equal for equal content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """16 hex digits that stand for `text`."""
    return sha256(text.encode()).hexdigest()[:16]

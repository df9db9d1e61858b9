"""The text of a commented suite file with one task, for `run --model` and for `new NAME.toml`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TEMPLATE = """\
# {title}
# Every key is explained in docs/harness.md, section "Suite files".
name = {name}
version = "1.0"  # raise it when a change gives the suite another meaning: every job then runs again
rules = {rules}  # `grape-bench list rules`, NAME+anchor, or path/to/file.py:MyRule
seeds = {seeds}  # publish at least five; one seed has no interval

# bp is the reference, and frozen is the control: the best head on untrained hidden layers. A table needs both to show
# how much of BP's gain a rule reaches.

[[task]]  # repeat this table for more tasks
name = {task}
model = {model}  # `grape-bench list models`, or path/to/file.py:factory
model_args = {model_args}
dataset = {dataset}  # `grape-bench list datasets`, parquet:FOLDER, csv:FOLDER, or path/to/file.py:loader
dataset_args = {dataset_args}  # such as {{ limit = 1000 }}
{objective}
epochs = {epochs}
batch_size = {batch_size}
optimizer = {{ name = "adamw", lr = {lr} }}  # or sgd, adam; also weight_decay, momentum, betas
schedule = "constant"  # or "cosine"

# Settings of one rule in all tasks. lr, weight_decay, momentum and betas change the optimizer for this rule:
# [rule.dfa]
# lr = 3e-4

# The search of `grape-bench tune`, with the same number of trials for every rule and task:
# [tuning]
# trials = 8
# space = {{ lr = {{ log = [1e-4, 1e-1] }} }}
"""


@dataclass(frozen=True)
class OneTask:
    """The values of a suite file with one task. The suite has the name of its task unless `name` is set."""

    title: str
    task: str
    model: str
    dataset: str
    name: str = ""
    model_args: Mapping[str, Any] = field(default_factory=dict)
    dataset_args: Mapping[str, Any] = field(default_factory=dict)
    objective: str | None = None
    rules: tuple[str, ...] = ("bp", "dfa", "frozen")
    seeds: int = 1
    epochs: int = 5
    batch_size: int = 64
    lr: float = 1e-3

    def text(self) -> str:
        """The content of the file."""
        values = {name: toml(value) for name, value in vars(self).items()}
        objective = (
            f"objective = {values['objective']}  # `grape-bench list objectives`"
            if self.objective
            else '# objective = "classification"  # if absent, the data set decides (`grape-bench list objectives`)'
        )
        named = {"title": self.title, "name": toml(self.name or self.task), "objective": objective}
        return TEMPLATE.format(**{**values, **named})


def toml(value: Any) -> str:
    """`value` on one line of TOML. JSON writes numbers, strings, booleans and lists of them in the same way."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{json.dumps(key) if '.' in key else key} = {toml(each)}" for key, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)

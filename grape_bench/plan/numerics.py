"""The integers that version the parts of the package that compute a result.

Each rule, model, data set, and model or data source declares `numerics` where its name is registered. The trainer and
the cuts declare theirs in `train/__init__.py` and `network/__init__.py`.
"""

from __future__ import annotations

from typing import Any

from grape_bench import network, train
from grape_bench.data import names as data
from grape_bench.models import names as models
from grape_bench.objectives.names import OBJECTIVES
from grape_bench.record.job import Job
from grape_bench.record.rule_name import RuleName
from grape_bench.registry import Registry, is_file_reference
from grape_bench.rules.names import ANCHOR_NUMERICS, CUTS, FINISH_NUMERICS, RULES


def numerics_of(rule: str, model: str, dataset: str, objective: str | None = None) -> dict[str, int]:
    """This version's integers for the parts of a job, such as `{"rule": 1, "model": 1, "cuts": 2, ...}`.

    "cuts" appears for a rule that cuts the network, "anchors" and "finish" for a rule with either, and "objective" for
    a task that names one. A user's own rule, model, data set or objective has the integer 1.
    """
    name = RuleName.parse(rule)
    source, _ = _split(model)
    data_source, _ = data.split_source(dataset)
    found = {
        "rule": RULES.numerics(name.reference),
        "model": _numerics(models.MODELS, models.SOURCES, source, model),
        "dataset": _numerics(data.DATASETS, data.SOURCES, data_source, dataset),
        "trainer": train.NUMERICS,
    }
    builtin = RULES.builtin(name.reference)
    if "cuts" in (builtin.uses if builtin else CUTS):
        found["cuts"] = network.NUMERICS
    if name.anchored:
        found["anchors"] = ANCHOR_NUMERICS
    if name.finished:
        found["finish"] = FINISH_NUMERICS
    if objective:
        found["objective"] = OBJECTIVES.numerics(objective)
    return found


def parts(job: Job) -> dict[str, int]:
    """The integers of the engine that ran `job`, by part: `{"rule dfa": 1, "trainer": 1, ...}`.

    A part without an integer, as in jobs from before integers existed, has 1.
    """
    return {name: job.numerics.get(part, 1) for part, name in _named(job).items()}


def changed(job: Job) -> dict[str, tuple[int, int]]:
    """The parts of `job` whose integer differs from this version's, as {name: (the job's, this version's)}."""
    now = numerics_of(job.rule, job.model, job.dataset, job.objective)
    made = parts(job)
    pairs = {name: (made[name], now[part]) for part, name in _named(job).items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _named(job: Job) -> dict[str, str]:
    """The name of each part of `job`, unique across jobs: the rule part of `dfa+anchor` is "rule dfa"."""
    source, model = _split(job.model)
    data_source, dataset = data.split_source(job.dataset)
    names = {
        "rule": f"rule {job.rule_name.base}",
        "model": f"model source {source}" if source else f"model {model}",
        "dataset": f"data source {data_source}" if data_source else f"data set {dataset}",
        "objective": f"objective {job.objective}",
    }
    return {part: names.get(part, part) for part in numerics_of(job.rule, job.model, job.dataset, job.objective)}


def _split(model: str) -> tuple[str, str]:
    return ("", model) if is_file_reference(model) else models.split_source(model)


def _numerics(named: Registry[Any], sources: Registry[Any], source: str, name: str) -> int:
    return sources.numerics(source) if source else named.numerics(name)

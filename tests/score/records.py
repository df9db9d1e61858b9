"""Records written by the program, with other numbers."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from grape_bench.record.folder import read_records
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status

MEBI = 2**20
RULES = ("bp", "fa", "dfa", "dfa+anchor", "grape", "grape+anchor", "head-only", "frozen")
WRITTEN = Path(__file__).parents[2] / "results" / "quickstart" / "runs"
JOB_FIELDS = {each.name for each in fields(Job)}


@cache
def written() -> dict[tuple[str, str], Record]:
    """The records of the recorded quickstart with seed 0, by task and rule."""
    return {(record.task, record.rule): record for record in read_records(WRITTEN) if record.seed == 0}


def make(rule: str, seed: int = 0, test: float = 90.0, *, task: str = "digits-mlp", **changes: Any) -> Record:
    """A finished record. `changes` overrides fields of its job (`epochs` ...), its parts, or values of its parts."""
    known = written()
    record = known.get((task, rule)) or known.get(("digits-mlp", rule)) or known["digits-mlp", "dfa"]
    job: dict[str, Any] = {"version": "1.0", "task": task, "rule": rule, "seed": seed, "trials": 1}
    job |= {"optimizer": {"name": "adamw", "lr": 1e-3}, "rule_settings": {}, "probes": None, "space": None}
    job |= {"batch_size": 64, "epochs": 20}
    job["profile"] = seed == 0 and rule != "bp"
    job |= {key: changes.pop(key) for key in list(changes) if key in JOB_FIELDS - {"profile", "features"}}
    profiled = {"step_ratio": 1.2, "low": 1.1, "high": 1.3, "flops": None} if job["profile"] else None
    parts: dict[str, Any] = {
        "result": {"test": test, "test_error": None, "validation": test, "train_loss": 0.1},
        "memory": {"baseline_bytes": 0, "peak_bytes": 1000 * MEBI},
        "profile": profiled,
        "credit": {"bp_fraction": 1.0 if rule == "bp" else 0.0},
        "diagnostics": None,
        "data": None,
        "time": None,
        "features": None,
    }
    kind = changes.pop("hardware", "cpu-x")
    where = replace(record.environment, hardware=replace(record.environment.hardware, kind=kind))
    return with_parts(replace(changed(record, **job), environment=where), **parts | changes)


def changed(record: Record, **job: Any) -> Record:
    """A copy of `record` whose job has these fields changed, with the matching id and name."""
    other = replace(record.job, **job)
    return replace(record, job=other, id=other.id, name=other.name)


def with_parts(record: Record, **changes: Any) -> Record:
    """`record` with other parts. A dictionary overrides only some values of a part."""
    whole = written()[("digits-mlp", "bp")]  # has every part
    parts = {}
    for name, value in changes.items():
        if name == "status":
            value = Status(value)
        elif isinstance(value, dict):
            part: Any = getattr(record, name) or getattr(whole, name)
            assert is_dataclass(part)
            value = replace(part, **value)
        parts[name] = value
    return replace(record, **parts)


def failed(rule: str, seed: int, status: str, **changes: Any) -> Record:
    """A record without a result: crashed, out of memory, timed out."""
    unknown = dict.fromkeys(("metric", "result", "memory", "profile", "credit"))
    return make(rule, seed, **{**unknown, "status": status, **changes})


def suite(seeds: int = 3, tasks: tuple[str, ...] = ("digits-mlp", "digits-vit")) -> list[Record]:
    """All rules on all tasks, with realistic accuracies."""
    level = {
        "frozen": 90.0,
        "bp": 97.5,
        "fa": 95.8,
        "dfa": 93.0,
        "dfa+anchor": 94.6,
        "grape": 95.9,
        "grape+anchor": 96.6,
    }
    draw = np.random.default_rng(0)
    records = []
    for number, task in enumerate(tasks):
        for rule in RULES:
            for seed in range(seeds):
                noise = draw.normal(0, 0.4 + 0.5 * number)
                test = level.get(rule, 84.0 - 20 * number) - 2.5 * number * (rule != "bp") + noise
                fraction = {"bp": 1.0, "dfa+anchor": 0.0048, "grape+anchor": 0.0048}.get(rule, 0.0)
                peak = (1000 + 37 * len(rule)) * MEBI
                parts: dict[str, Any] = {"credit": {"bp_fraction": fraction}, "memory": {"peak_bytes": peak}}
                records.append(make(rule, seed, test, task=task, **parts))
    return records

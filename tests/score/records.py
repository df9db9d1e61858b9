"""Synthetic records, in the form in which jobs leave them on disk."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np

RULES = ("bp", "fa", "dfa", "dfa+anchor", "grape", "grape+anchor", "head-only")


def make(rule: str, seed: int = 0, test: float = 90.0, *, task: str = "digits-mlp", **changes: Any) -> dict[str, Any]:
    """One finished record. `changes` replaces what it names, in the job (`epochs` ...) or on top."""
    job: dict[str, Any] = {
        "suite": "quickstart",
        "version": "1.0",
        "task": task,
        "rule": rule,
        "seed": seed,
        "rule_settings": {},
        "rule_source": "0f",
        "model": "mlp",
        "model_args": {"hidden": [256, 256]},
        "dataset": "digits",
        "dataset_args": {},
        "epochs": 20,
        "batch_size": 64,
        "optimizer": {"name": "adamw", "lr": 1e-3},
        "schedule": "constant",
        "precision": "fp32",
        "compile": False,
        "deterministic": False,
        "trials": 1,
        "profile": seed == 0 and rule != "bp",
    }
    job.update({key: changes.pop(key) for key in list(changes) if key in job})
    identity = sha256(repr(sorted(job.items())).encode()).hexdigest()[:16]
    record: dict[str, Any] = {
        "schema": 1,
        "id": identity,
        "name": f"{task}.{rule}.s{seed}.{identity[:8]}",
        "suite": job["suite"],
        "suite_version": job["version"],
        "task": task,
        "rule": rule,
        "seed": seed,
        "job": job,
        "status": "finished",
        "reason": "",
        "metric": {"name": "accuracy", "unit": "percent", "chance": 10.0},
        "result": {"test": test, "validation": test, "train_loss": 0.1},
        "memory": {"baseline_bytes": 0, "peak_bytes": 1000, "kind": "rss"},
        "profile": {"step_ratio": 1.2, "low": 1.1, "high": 1.3} if job["profile"] else None,
        "credit": {"bp_fraction": 1.0 if rule == "bp" else 0.0},
        "environment": {"hardware": {"class": "cpu-x"}},
    }
    hardware = changes.pop("hardware", None)
    if hardware:
        record["environment"] = {"hardware": {"class": hardware}}
    return record | changes


def failed(rule: str, seed: int, status: str, **changes: Any) -> dict[str, Any]:
    """A record without a result: crashed, out of memory, timed out."""
    unknown = dict.fromkeys(("metric", "result", "memory", "profile", "credit"))
    return make(rule, seed, **{**unknown, "status": status, **changes})


def suite(seeds: int = 3, tasks: tuple[str, ...] = ("digits-mlp", "digits-vit")) -> list[dict[str, Any]]:
    """All rules on all tasks, with accuracies near what such networks reach."""
    level = {"bp": 97.5, "fa": 95.8, "dfa": 93.0, "dfa+anchor": 94.6, "grape": 95.9, "grape+anchor": 96.6}
    draw = np.random.default_rng(0)
    records = []
    for number, task in enumerate(tasks):
        for rule in RULES:
            for seed in range(seeds):
                noise = draw.normal(0, 0.4 + 0.5 * number)
                test = level.get(rule, 84.0 - 20 * number) - 2.5 * number * (rule != "bp") + noise
                fraction = {"bp": 1.0, "dfa+anchor": 0.0048, "grape+anchor": 0.0048}.get(rule, 0.0)
                peak = 1000 + 37 * len(rule)
                records.append(
                    make(
                        rule,
                        seed,
                        test,
                        task=task,
                        credit={"bp_fraction": fraction},
                        memory={"peak_bytes": peak, "kind": "rss"},
                    )
                )
    return records

"""Small jobs for the tests of training."""

from typing import Any

from grape_bench.record.job import Job


def job(rule: str = "bp", **changes: Any) -> Job:
    """Two epochs of a small MLP on digits. No head is fitted on the trained features: it takes longer than training."""
    values: dict[str, Any] = {
        "suite": "test",
        "version": "1",
        "task": "digits-mlp",
        "rule": rule,
        "rule_settings": {},
        "rule_source": "",
        "seed": 0,
        "model": "mlp",
        "model_args": {"hidden": [32, 32]},
        "dataset": "digits",
        "dataset_args": {},
        "epochs": 2,
        "batch_size": 64,
        "optimizer": {"name": "adamw", "lr": 1e-2},
        "schedule": "constant",
        "features": False,
    }
    return Job(**{**values, **changes})

"""Checks of a job from a file: no values that a plan cannot make, no names that lead outside the job's folder."""

from __future__ import annotations

import math
from typing import Any

from grape_bench.record.job import Job, Of, leaves
from grape_bench.record.regular_file import is_name
from grape_bench.record.typed_json import ShapeError

LONGEST = 500  # characters of a rule, a model or a data set
LARGEST = {
    "seed": 2**63,
    "epochs": 10**6,
    "steps": 10**10,
    "batch_size": 10**7,
    "accumulate": 10**6,
    "evaluate_every": 10**10,
    "warmup": 10**10,
    "nproc": 10**6,
    "trials": 1000,
    "trial": 10**7,
    "probes": 10**6,
    "looks": 1000,
}
"""The largest value of each count. The smallest is 0 for those in `FROM_ZERO`, and 1 for the others."""
WORDS = {
    "granularity": ("block", "layer"),
    "cuts": ("depth", "time", "both"),
    "select": ("last", "best"),
    "decay": ("all", "weights"),
    "precision": ("fp32", "tf32", "bf16", "fp16"),
}
"""The values that these settings may have."""
FROM_ZERO = ("seed", "warmup", "trial", "probes")


def check_job(job: Job) -> None:
    """Raise ShapeError unless a plan could have made `job`."""
    for name, largest in LARGEST.items():
        value, least = getattr(job, name), 0 if name in FROM_ZERO else 1
        if value is not None and not least <= value <= largest:
            raise ShapeError(f"job.{name} is {value}, which is not between {least} and {largest}")
    for name in ("rule", "model", "dataset", *(["open_by"] if job.open_by is not None else [])):
        if not 0 < len(getattr(job, name)) <= LONGEST:
            raise ShapeError(f"job.{name} is empty, or longer than {LONGEST} characters")
    for name, words in WORDS.items():
        if getattr(job, name) not in words:
            raise ShapeError(f"job.{name} is {getattr(job, name)[:40]!r}, not one of {', '.join(words)}")
    for name, axis in (job.space or {}).items():
        if not _is_axis(axis):
            raise ShapeError(f"job.space.{name[:40]} is neither a range nor a list of choices")
    if not isinstance(job.optimizer.get("name"), str):
        raise ShapeError("job.optimizer.name is not a string")
    places = {**(job.contents or {}), **(job.rule_contents or {})}
    settings = dict(leaves(job.parts(Of.TASK, Of.RULE))) if places else {}
    for place in places:
        if not isinstance(settings.get(place), str):
            raise ShapeError(f"job.contents names {place!r}, which is not a setting")
    for name in (job.suite, job.task, job.rule_name.label, job.name):
        check_name("job", name)


def _is_axis(axis: Any) -> bool:
    """Whether `axis` is `{"log": [low, high]}`, `{"linear": [low, high]}` or `{"choice": [...]}`."""
    if not isinstance(axis, dict) or len(axis) != 1:
        return False
    ((kind, values),) = axis.items()
    if kind not in ("log", "linear", "choice") or not isinstance(values, list) or not values:
        return False
    if kind == "choice":
        return True
    if len(values) != 2 or not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        return False
    return bool(values[0] < values[1]) and (kind == "linear" or values[0] > 0)


def check_name(where: str, text: str) -> None:
    """Raise ShapeError unless `text` can be the name of a folder in the folder of the runs."""
    if not is_name(text):
        raise ShapeError(f"{where}: {text[:40]!r} is not the name of a folder")

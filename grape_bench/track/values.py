"""The metrics, parameters and tags that a tracking store gets of a record, under names that MLflow accepts.

See docs/mlflow.md.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.table import HIDDEN, read_curve, read_diagnostics
from grape_bench.record.typed_json import encode

LENGTH, TAG_LENGTH, PARAM_LENGTH = 150, 5000, 6000  # below the limits of every MLflow server
TRUE_NAME = "grape.name."
_REFUSED = re.compile(r"[^\w.\- :]")


def fitted(name: str) -> str:
    """`name` as a part of a metric's or parameter's name: letters, digits and `_.-: `, at most `LENGTH` of them.

    A name that has to change ends in a hash of the true one, so that different names stay different.
    """
    plain = _REFUSED.sub("_", name)
    if plain == name and len(name) <= LENGTH:
        return name
    digest = sha256(name.encode(errors="backslashreplace")).hexdigest()[:8]
    return f"{plain[: LENGTH - 9]}-{digest}"


def true_names(names: Iterable[str]) -> dict[str, str]:
    """Tags with the true names of those that were changed, such as `grape.name.conv_1_-3f2a77c1`: `conv[1]`."""
    return {f"{TRUE_NAME}{fitted(name)}": name[:TAG_LENGTH] for name in names if fitted(name) != name}


SINGLE = (
    "result.test",
    "result.test_error",
    "result.validation",
    "metric.chance",
    "features.test",
    "time.train_s",
    "time.total_s",
    "memory.peak_bytes",
    "memory.live_bytes",
    "memory.bp_live_bytes",
    "profile.step_ratio",
    "profile.flops.total",
    "profile.flops.bp",
    "credit.bp_fraction",
    "diagnostics.growth",
    "diagnostics.gain",
    "diagnostics.signal_cos",
    "diagnostics.null_cos",
)
"""The numbers of a record by which users search and compare runs. MLflow draws a chart for each metric of a run, so the
other numbers are only in record.json."""
GROUPS = tuple(dict.fromkeys(name.partition(".")[0] for name in SINGLE))
LINES = ("train_loss", "validation_", "seconds")
"""Prefixes of the columns of curve.csv that MLflow gets."""
OVER_TRAINING = {"signal_cos": "", "gradient_cos": HIDDEN, "descent": HIDDEN}
"""The columns of diagnostics.csv that MLflow gets, each from the named row, or from every block if it is empty."""


@dataclass(frozen=True)
class Value:
    """A measured number. `step` is the number of training samples seen."""

    name: str
    value: float
    step: int

    @property
    def finite(self) -> bool:
        """Whether a database can store the number."""
        return math.isfinite(self.value)


def curve_values(folder: Path, record: Record) -> list[Value]:
    """Return the lines of curve.csv; an empty list if there is no file."""
    table = read_curve(folder, record)
    return [value for row in (table.rows if table else ()) for value in row_values(row)]


def row_values(row: Mapping[str, Any]) -> list[Value]:
    """Return the numbers of one evaluation: the losses, the validation score, and the seconds of training."""
    return [
        Value(fitted(name), float(value), int(row["samples"]))
        for name, value in row.items()
        if name.startswith(LINES) and value not in ("", None)
    ]


def diagnostics_values(folder: Path, record: Record) -> list[Value]:
    """Return the lines of diagnostics.csv, such as `diagnostics.signal_cos.blocks.0`; else an empty list."""
    table = read_diagnostics(folder, record)
    return [
        Value(f"diagnostics.{name}.{fitted(row['block'].strip('()'))}", float(text), int(row["samples"]))
        for row in (table.rows if table else ())
        for name, text in row.items()
        if text and name in OVER_TRAINING and OVER_TRAINING[name] in ("", row["block"])
    ]


def metric_values(record: Record) -> list[Value]:
    """Return the `SINGLE` numbers of a record at its last step, such as `result.test`."""
    step = record.time.samples if record.time else 0
    parts = {group: encode(getattr(record, group)) for group in GROUPS}
    found = {name: value for group, part in parts.items() for name, value in _numbers(group, part)}
    return [Value(name, found[name], step) for name in SINGLE if name in found]


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(f"{name}.{key}", inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)


def parameter_values(job: Job) -> dict[str, str]:
    """Return a job's settings under dotted names, such as `optimizer.lr` and `rule.perturbations`."""
    flat: dict[str, str] = {}
    for key, value in job.to_dict().items():
        if isinstance(value, Mapping):
            prefix = "rule" if key == "rule_settings" else key
            flat.update({f"{prefix}.{fitted(inner)}": _text(content) for inner, content in value.items()})
        else:
            flat[key] = _text(value)
    return {key: text[:PARAM_LENGTH] for key, text in flat.items()}


def changed_names(folder: Path, record: Record) -> dict[str, str]:
    """Return tags with the true names of the blocks and settings whose names do not fit."""
    table = read_diagnostics(folder, record)
    blocks = [row["block"].strip("()") for row in (table.rows if table else ())]
    settings = [inner for value in record.job.to_dict().values() if isinstance(value, Mapping) for inner in value]
    return true_names([*blocks, *settings])


def live_tags(job: Job) -> dict[str, str]:
    """Return the tags of a job that still runs."""
    return {
        "grape.level": "live",
        "grape.job_id": job.id,
        "grape.rule": job.rule,
        "grape.task": job.task,
        "grape.seed": str(job.seed),
    }


def tag_values(record: Record) -> dict[str, str]:
    """Return the tags by which runs can be searched."""
    tags = {
        "grape.level": "job",
        "grape.job_id": record.id,
        "grape.status": record.status.value,
        "grape.rule": record.rule,
        "grape.task": record.task,
        "grape.seed": str(record.seed),
        "grape.ended": record.ended,
        "git.commit": record.environment.git.commit,
        "hw.class": record.environment.hardware.kind,
    }
    tags |= {"grape.metric": record.metric.name} if record.metric else {}
    trial = record.job.trial
    tags |= {"grape.trial": str(trial)} if trial is not None else {}
    return tags | ({"grape.reason": record.reason[:TAG_LENGTH]} if record.reason else {})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

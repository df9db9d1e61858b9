"""Every record is complete and of this schema."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from grape_bench.publish.submission import Submission
from grape_bench.track.record import MEASURED, SCHEMA, STATUSES

HEAD = {"id": str, "name": str, "suite": str, "suite_version": str, "task": str, "rule": str, "seed": int, "job": dict}
HEAD |= {"status": str, "environment": dict, "started": str, "ended": str}
RESULTS = ("finished", "diverged")


def problems(submission: Submission) -> Iterator[str]:
    """Keys, types, and numbers that can be."""
    if not submission.own:
        yield f"there is no record of the rule {submission.card.name!r}"
    for name, record in submission.records.items():
        if record is None:
            yield f"{name}: no record that can be read"
            continue
        yield from (f"{name}: {problem}" for problem in flaws(record))


def flaws(record: dict[str, Any]) -> Iterator[str]:
    """What is wrong with one record."""
    if record.get("schema") not in range(1, SCHEMA + 1):
        yield f"schema {record.get('schema')}; this version reads 1 to {SCHEMA}"
    yield from (
        f"{key} is missing or of another type" for key, kind in HEAD.items() if type(record.get(key)) is not kind
    )
    yield from (f"{key} is missing" for key in MEASURED if key not in record)
    if record.get("status") not in STATUSES:
        yield f"unknown status {record.get('status')!r}"
    if record.get("status") in RESULTS and not isinstance(record.get("metric"), dict):
        yield "a result without a metric"
    if record.get("status") == "finished":
        yield from _impossible(record)


def _impossible(record: dict[str, Any]) -> Iterator[str]:
    result = record.get("result")
    if not isinstance(result, dict):
        yield "finished without a result"
        return
    for key in ("test", "validation"):
        value = result.get(key)
        if not isinstance(value, int | float) or not math.isfinite(value):
            yield f"result.{key} is not a number"
        elif (record.get("metric") or {}).get("name") == "accuracy" and not 0 <= value <= 100:
            yield f"result.{key} = {value} is no accuracy in percent"

"""Synthetic runs on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tests.report.curves import curve


def on_disk(runs: Path, records: list[dict[str, Any]]) -> Path:
    """`records` with their curves below the folder `runs`, which is returned."""
    for record in records:
        job = runs / record["name"]
        job.mkdir(parents=True)
        (job / "record.json").write_text(json.dumps(record))
        if record["result"]:
            curve(record["result"]["test"]).to_csv(job / "curve.csv", index=False)
    return runs


def diagnostics(cosine: float) -> pd.DataFrame:
    """The rows of a diagnostics.csv of two blocks at three times, and one of the whole network."""
    rows = [(1000 * t, b, cosine * t / 3) for t in (1, 2, 3) for b in ("blocks.0", "blocks.1")]
    rows.append((1000, "(network)", float("nan")))
    return pd.DataFrame(rows, columns=["samples", "block", "signal_cos"])


def with_flops(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records with counted FLOPs in their profiles."""
    for record in records:
        if record["profile"]:
            record["profile"]["flops"] = {"total": 0.8, "bp": 1.0}
    return records

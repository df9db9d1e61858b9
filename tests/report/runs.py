"""Runs on disk: records written by the program, with synthetic curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from grape_bench.record.profile import Flops
from grape_bench.record.record import Record, write_record
from tests.report.curves import curve


def on_disk(runs: Path, records: list[Record]) -> Path:
    """Write `records` and their curves to the folder `runs`. Returns the folder."""
    for record in records:
        job = runs / record.name
        job.mkdir(parents=True)
        write_record(job, record)
        if record.result:
            epochs = 1 if record.rule == "frozen" else record.job.epochs
            curve(record.result.test, epochs).to_csv(job / "curve.csv", index=False)
    return runs


def diagnostics(cosine: float, moments: int = 3) -> pd.DataFrame:
    """The rows of a diagnostics.csv: two blocks at each moment, and one row for the whole network."""
    times = range(1, moments + 1)
    rows = [(1000 * t, b, cosine * t / moments, 0.1) for t in times for b in ("blocks.0", "blocks.1")]
    rows.append((1000, "(network)", float("nan"), float("nan")))
    return pd.DataFrame(rows, columns=["samples", "block", "signal_cos", "null_cos"])


def with_flops(records: list[Record]) -> list[Record]:
    """Add counted FLOPs to the profiles of `records`."""
    flops = Flops(forward=0.3, credit=0.4, tangents=0.1, critical=0.8, total=0.8, bp=1.0)
    return [
        replace(record, profile=replace(record.profile, flops=flops)) if record.profile else record
        for record in records
    ]

"""A record of a finished job, and its folder on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grape_bench.record.record import Record, make_record, write_record
from tests.execute.fake_trainer import MEASURED
from tests.plan.test_job import JOB

ENVIRONMENT = {
    "python": "3.11.0",
    "git": {"commit": "0f" * 20, "dirty": False},
    "hardware": {"class": "cpu:testx2", "threads": 1},
}


def record(**outcome: Any) -> Record:
    return make_record(
        JOB.to_dict(),
        identity=(JOB.id, JOB.name),
        outcome={**MEASURED, **outcome},
        environment=ENVIRONMENT,
        started="2026-01-01T00:00:00.000+00:00",
    )


def on_disk(folder: Path, written: Record) -> Record:
    job = folder / written["name"]
    job.mkdir(parents=True)
    (job / "curve.csv").write_text("epoch,samples,seconds,train_loss\n1,128,0.5,1.0\n2,256,1.0,inf\n")
    (job / "diagnostics.csv").write_text(
        "step,samples,block,signal_cos,descent\n2,128,b.0,0.5,\n2,128,(hidden),,0.75\n"
    )
    (job / "stderr.txt").write_text("")
    write_record(job, written)
    return written

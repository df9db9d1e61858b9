"""A record of a small job that the program wrote, and its folder on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from grape_bench.record.record import Record, write_record
from tests.record.test_job import JOB
from tests.score.records import with_parts, written


def record(**changes: Any) -> Record:
    """A finished record of JOB; `changes` replaces its parts, or values of its parts."""
    found = replace(written()["digits-mlp", "dfa"], job=JOB, id=JOB.id, name=JOB.name)
    where = found.environment
    found = replace(found, environment=replace(where, hardware=replace(where.hardware, kind="cpu:testx2")))
    parts: dict[str, Any] = {
        "result": {"test": 91.0, "validation": 92.0, "train_loss": 0.5},
        "time": {"setup_s": 0.1, "train_s": 0.2, "evaluate_s": 0.1, "total_s": None, "steps": 4, "samples": 256},
        "profile": None,
        "diagnostics": None,
        "reason": "",
    }
    parts["time"] |= dict.fromkeys(("compile_s", "checkpoint_s", "diagnose_s", "profile_s", "resumed"))
    return with_parts(with_parts(found, **parts), **changes)


def on_disk(folder: Path, written: Record) -> Record:
    job = folder / written.name
    job.mkdir(parents=True)
    (job / "curve.csv").write_text(
        "epoch,samples,seconds,train_loss,validation_accuracy\n1,128,0.5,1.0,90.0\n2,256,1.0,inf,92.0\n"
    )
    (job / "diagnostics.csv").write_text(
        "step,samples,block,signal_cos,descent\n2,128,b.0,0.5,\n2,128,(hidden),,0.75\n2,128,(network),,\n"
    )
    (job / "stderr.txt").write_text("")
    write_record(job, written)
    return written

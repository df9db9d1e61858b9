"""A store that copies every job to Weights & Biases: --tracking-uri examples/stores/wandb_store.py:WandbStore."""

import csv
from collections.abc import Mapping
from typing import Any

import wandb

import grape_bench as gb
from grape_bench.record.record import Record


class WandbStore(gb.Store):
    """One W&B run per job, in the project `grape-bench`. `WANDB_MODE=offline` needs no account."""

    def __init__(self, uri: str, sweep: gb.Sweep) -> None:
        super().__init__(uri, sweep)
        self.place = "https://wandb.ai, project grape-bench"

    def add(self, record: Record) -> bool:
        """Log the curve of a job over the samples seen, and its result. A resumed sweep offers finished jobs again."""
        job = record.job
        config = {"task": job.task, "rule": job.rule, "seed": job.seed, "job": job.id}
        names = {"project": "grape-bench", "group": self.sweep.suite, "name": record.name}
        with wandb.init(id=f"{self.sweep.id[:8]}-{job.id}", resume="allow", config=config, **names) as run:
            if run.resumed:
                return False
            for row in self._curve(record):
                run.log({key: float(value) for key, value in row.items() if value}, step=int(row["samples"]))
            run.summary["status"] = str(record.status)
            run.summary["test"] = record.test if record.status.is_result else None
        return True

    def _curve(self, record: Record) -> list[Mapping[str, Any]]:
        path = self.sweep.folder / record.name / "curve.csv"
        return list(csv.DictReader(path.open())) if path.is_file() else []

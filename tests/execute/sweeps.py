"""Small sweeps of fake jobs, and a display that records events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grape_bench.execute.executor import Options
from grape_bench.execute.sweep import Request
from grape_bench.plan.expand import make_plan
from grape_bench.plan.overrides import Overrides
from grape_bench.record.job import Job
from grape_bench.record.record import Record

TRAINER = "tests.execute.fake_trainer"


def request(folder: Path, acts: Sequence[dict[str, Any]], *, seeds: int = 1, **more: Any) -> Request:
    """A request with one BP task per entry of `acts`, which becomes the arguments of its model."""
    model, dataset = more.pop("model", "mlp"), more.pop("dataset", "digits")
    tasks = [
        f'[[task]]\nname = "task{number}"\nmodel = "{model}"\nmodel_args = {_table(act)}\ndataset = "{dataset}"\n'
        'epochs = 2\nbatch_size = 64\noptimizer = { name = "sgd", lr = 0.1 }\n'
        for number, act in enumerate(acts)
    ]
    head = f'name = "acts"\nversion = "1.0"\nrules = ["bp"]\nseeds = {seeds}\n'
    path = folder / "acts.toml"
    path.write_text(head + "\n".join(tasks), encoding="utf-8")
    limits = {name: more.pop(name, None) for name in ("time_limit_s", "memory_limit")}
    options = Options(slots=more.pop("slots", 2), trainer=TRAINER, **limits)
    plan = make_plan(str(path), Overrides(settings=more.pop("settings", ())))
    return Request(plan, folder / "runs" / "acts", options=options, **more)


def _table(values: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + " }"


class Watch:
    """A display that records what it is shown."""

    def __init__(self) -> None:
        self.done: list[Record] = []
        self.pending: list[Job] = []
        self.records: list[Record] = []
        self.warnings: list[str] = []
        self.progress: list[dict[str, Any]] = []
        self.open = False

    def began(self, done: Sequence[Record], pending: Sequence[Job], slots: int) -> None:
        self.done, self.pending, self.open = list(done), list(pending), True

    def warned(self, text: str) -> None:
        self.warnings.append(text)

    def started(self, job: Job) -> None:
        pass

    def progressed(self, progress: dict[str, dict[str, Any]]) -> None:
        self.progress += progress.values()

    def ended(self, record: Record) -> None:
        self.records.append(record)

    def closed(self) -> None:
        self.open = False

"""Rerun published jobs: their code trains in a sandbox, and another process scores the weights that it leaves.

On the same type of CPU, with as many threads and the same package versions, a rerun gives the published value bit for
bit. On other machines BP is rerun too, and the tolerance depends on how much BP's value differs.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from grape_bench.errors import UserError
from grape_bench.publish.code import code_of
from grape_bench.publish.hidden_test import View, hidden, whole
from grape_bench.publish.relocate import localized
from grape_bench.publish.rerun_worker import SCORE, WEIGHTS
from grape_bench.publish.sandbox import Limits, Sandbox
from grape_bench.publish.submission import CODE, SOURCE, Submission
from grape_bench.record.environment import core_count, environment, git_state
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.score.comparable import outdated
from grape_bench.score.metric import METRICS

DISK = 8 * 2**30
"""The most that a rerun may write: a data cache, weights and what its code writes."""

MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
"""The most memory that a rerun may hold: half of this machine's."""

FACTOR = 3
"""The largest difference of a rerun, as a multiple of BP's largest difference."""


@dataclass(frozen=True)
class Rerun:
    """The published test value of a job, the value of its rerun, and how much they may differ.

    `exact` says that this machine and its packages equal the author's, so the tolerance is 0. `reason` says why there
    is no value. `caveats` say what the author's code could still see.
    """

    name: str
    published: float
    found: float | None
    tolerance: float
    exact: bool = False
    reason: str = ""
    caveats: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the two values agree."""
        return self.found is not None and abs(self.found - self.published) <= self.tolerance


def draw(submission: Submission, count: int, seed: int) -> list[Record]:
    """`count` random finished jobs of the published rule.

    Raises UserError if no job finished, or if this version of grape-bench would give other numbers.
    """
    finished = {name: record for name, record in submission.own.items() if record.status is Status.FINISHED}
    if not finished:
        raise UserError("no finished job to rerun", where=str(submission.folder))
    names = random.Random(seed).sample(sorted(finished), min(count, len(finished)))
    for name in names:
        if reason := outdated([finished[name]]):
            hint = "verify without --rerun, or use the version that made these runs"
            raise UserError(reason, where=name, hint=hint)
        if finished[name].job.nproc > 1:
            raise UserError(
                "a job of several processes cannot be rerun in a sandbox", where=name, hint="another --seed"
            )
    return [finished[name] for name in names]


def differences(record: Record) -> list[str]:
    """Phrases for what on this machine can change the last digits of `record`'s result: packages, CPU, threads, GPU."""
    there = record.environment
    threads = min(there.hardware.threads, core_count())
    here = environment(threads, git_state())
    found = [
        f"{name} {here.packages.get(name, 'missing')} (published: {version})"
        for name, version in there.packages.items()
        if name != "grape-bench" and here.packages.get(name) != version
    ]
    pairs = {
        "CPU": (here.hardware.cpu, there.hardware.cpu),
        "threads": (threads, there.hardware.threads),
        "GPU": (None, there.hardware.gpu),
    }
    return [
        *found,
        *(f"{name} {ours} (published: {theirs})" for name, (ours, theirs) in pairs.items() if ours != theirs),
    ]


@dataclass(frozen=True)
class Auditor:
    """Reruns jobs of a publication. `data` has copies of local folders; `report` gets a line before each rerun.

    `tolerance` is the most that a rerun may ever differ, in points: see `Metric.tolerance`.
    """

    submission: Submission
    tolerance: float
    data: Sequence[Path] = ()
    confined: bool = True
    report: Callable[[str], None] = print

    def rerun(self, records: Iterable[Record]) -> list[Rerun]:
        """Rerun `records`, and BP's records of the same task and seed if this machine is not the author's.

        Raises UserError before the first run if local data is missing.
        """
        records = list(records)
        jobs = {record.name: localized(record.job, self.submission.folder.resolve(), self.data) for record in records}
        inexact = {(one.task, one.seed) for one in records if differences(one)}
        bp = [one for one in self.submission.records.values() if one.rule == "bp" and (one.task, one.seed) in inexact]
        references = [
            self._again(one, localized(one.job, self.submission.folder.resolve(), self.data), self._most(one))
            for one in bp
            if one.status is Status.FINISHED and one not in records
        ]
        return [
            *references,
            *(self._again(one, jobs[one.name], self._allowed(one, references)) for one in records),
        ]

    def _most(self, record: Record) -> float:
        return METRICS[record.scored_by.name].tolerance(self.tolerance, record.test)

    def _allowed(self, record: Record, references: Sequence[Rerun]) -> float:
        """0 on the author's kind of machine, else `FACTOR` times BP's largest difference on the record's task."""
        if not differences(record):
            return 0.0
        same = [one for one in references if self.submission.records[one.name].task == record.task]
        found = [abs(one.found - one.published) for one in same if one.found is not None]
        return min(self._most(record), FACTOR * max(found)) if found else self._most(record)

    def _again(self, record: Record, job: Job, tolerance: float) -> Rerun:
        self.report(f"rerunning {record.name}")
        with TemporaryDirectory(prefix="grape-bench-rerun-") as place:
            root = Path(place).resolve()
            view = hidden(job, root / "data")
            value, reason = self._value(record, job, root, view)
        return Rerun(record.name, record.test, value, tolerance, not differences(record), reason, _caveats(job, view))

    def _value(self, record: Record, job: Job, root: Path, view: View) -> tuple[float | None, str]:
        """Train without the test split, then score the weights. Returns the value, or the reason why there is none."""
        described = root / "job.json"
        described.write_text(json.dumps(job.to_dict()), encoding="utf-8")
        for step, seen in (("train", view), ("score", whole(job))):
            folder = root / step
            folder.mkdir()
            if step == "score":
                weights = root / "train" / WEIGHTS
                if weights.is_symlink() or not weights.is_file():
                    return None, "train: it left no weights"
                weights.rename(folder / WEIGHTS)
            sandbox = self._sandbox(record, folder, seen, described)
            if reason := sandbox.python("-m", "grape_bench.publish.rerun_worker", step, str(described), str(folder)):
                return None, f"{step}: {reason}"
        value = float(json.loads((folder / SCORE).read_text(encoding="utf-8"))["test"])
        return (value, "") if math.isfinite(value) else (None, "the test value is not finite")

    def _sandbox(self, record: Record, folder: Path, view: View, described: Path) -> Sandbox:
        threads = min(record.environment.hardware.threads, core_count())
        seconds = (record.time.total_s if record.time else None) or 0.0
        code = self.submission.folder.resolve()
        return Sandbox(
            folder=folder,
            limits=Limits(600 + 20 * seconds, MEMORY, DISK),
            readable=(described, code / CODE, code / SOURCE, *view.readable),
            environment={"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": "", **view.environment},
            confined=self.confined,
        )


def _caveats(job: Job, view: View) -> tuple[str, ...]:
    """Phrases for what the author's code could see in spite of the sandbox."""
    scoring = sorted(name for name in code_of(job) if name != job.rule_name.reference)
    return (
        *([f"its code could read the test split: {view.visible}"] if view.visible else []),
        *(f"the author's own code took part in scoring: {Path(name).name}" for name in scoring),
    )

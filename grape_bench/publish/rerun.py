"""Run some of a publication's jobs again, and compare what comes out. This executes the published rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.plan.expand import Plan
from grape_bench.plan.suite import Suite
from grape_bench.publish.submission import SOURCE, SUITE, Submission
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.record.status import Status
from grape_bench.score.comparable import outdated

Sweep = Callable[[Plan], Sequence[Record]]


@dataclass(frozen=True)
class Rerun:
    """A job's published and new test value, and how far apart they may be."""

    name: str
    published: float
    found: float | None  # None: the job did not finish this time
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether they agree."""
        return self.found is not None and abs(self.found - self.published) <= self.tolerance


def draw(submission: Submission, count: int, seed: int) -> list[Job]:
    """`count` jobs of the published rule that finished, at random; a rule from a file is taken from the folder.

    Raises UserError if none finished, or if this version would give other numbers.
    """
    finished = {name: record for name, record in submission.own.items() if record.status is Status.FINISHED}
    if not finished:
        raise UserError("no finished run to repeat", where=str(submission.folder))
    names = random.Random(seed).sample(sorted(finished), min(count, len(finished)))
    for name in names:
        if reason := outdated([finished[name]]):
            hint = "verify without --rerun, or use the version that made these runs"
            raise UserError(reason, where=name, hint=hint)
    return [_local(finished[name].job, submission.folder) for name in names]


def rerun(submission: Submission, jobs: Sequence[Job], tolerance: float, sweep: Sweep) -> list[Rerun]:
    """The outcomes of `jobs`, run by `sweep`, beside the published ones."""
    suite = Suite.model_validate(submission.suite)
    records = {record.id: record for record in sweep(Plan(suite, submission.folder / SUITE, list(jobs)))}
    return [
        Rerun(
            name=job.name,
            published=submission.records[job.name].test,
            found=new.test if (new := records[job.id]).status is Status.FINISHED else None,
            tolerance=tolerance,
        )
        for job in jobs
    ]


def _local(job: Job, folder: Path) -> Job:
    """The job with the published file instead of the author's path; its id is the same."""
    rule = job.rule_name
    return replace(job, rule=str(rule.moved(folder / SOURCE))) if rule.file else job

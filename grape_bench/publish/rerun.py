"""Run some of a publication's jobs again, and compare what comes out. This executes the published rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.plan.expand import Plan
from grape_bench.plan.job import Job
from grape_bench.plan.suite import Suite
from grape_bench.publish.submission import SOURCE, SUITE, Submission
from grape_bench.registry import is_file_reference
from grape_bench.rules.names import ANCHOR, split_anchor
from grape_bench.score.numerics import outdated
from grape_bench.track.record import Record

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
    finished = {name: record for name, record in submission.own.items() if record["status"] == "finished"}
    if not finished:
        raise UserError("no finished run to repeat", where=str(submission.folder))
    names = random.Random(seed).sample(sorted(finished), min(count, len(finished)))
    for name in names:
        if reason := outdated([finished[name]]):
            hint = "verify without --rerun, or use the version that made these runs"
            raise UserError(reason, where=name, hint=hint)
    return [_local(Job.from_dict(finished[name]["job"]), submission.folder) for name in names]


def rerun(submission: Submission, jobs: Sequence[Job], tolerance: float, sweep: Sweep) -> list[Rerun]:
    """The outcomes of `jobs`, run by `sweep`, beside the published ones."""
    suite = Suite.model_validate(submission.suite)
    records = {record["id"]: record for record in sweep(Plan(suite, submission.folder / SUITE, list(jobs)))}
    return [
        Rerun(
            name=job.name,
            published=float(submission.readable[job.name]["result"]["test"]),
            found=float(new["result"]["test"]) if (new := records[job.id])["status"] == "finished" else None,
            tolerance=tolerance,
        )
        for job in jobs
    ]


def _local(job: Job, folder: Path) -> Job:
    """The job with the published file in the place of the author's path; its id is the same."""
    base, anchored = split_anchor(job.rule)
    if not is_file_reference(base):
        return job
    rule = f"{folder / SOURCE}:{base.rpartition(':')[2]}" + (ANCHOR if anchored else "")
    return replace(job, rule=rule)

"""Verify a published folder: run the checks, rerun jobs at random, and assign a badge."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.plan.expand import Plan
from grape_bench.plan.suite import Suite
from grape_bench.publish import checks
from grape_bench.publish.here import local
from grape_bench.publish.index import VERIFICATION
from grape_bench.publish.submission import SUITE, Submission, read_submission
from grape_bench.record.content import parse_object
from grape_bench.record.deadline import deadline
from grape_bench.record.job import Job
from grape_bench.record.record import Record, now
from grape_bench.record.regular_file import Largest, read_text
from grape_bench.record.status import Status
from grape_bench.record.write import write_json
from grape_bench.score.comparable import outdated
from grape_bench.score.metric import METRICS

SECONDS = 60  # for the checks of one publication

Sweep = Callable[[Plan], Sequence[Record]]

BADGES = {
    "reported": "numbers as the author gave them",
    "recomputed": "records and curves agree, and they reproduce every number of the table",
    "verified": "recomputed, and a rerun of random jobs gave the same results",
}


@dataclass(frozen=True)
class Rerun:
    """The published test value of a job, the value of its rerun, and how much they may differ."""

    name: str
    published: float
    found: float | None  # None if the rerun did not finish
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the two values agree."""
        return self.found is not None and abs(self.found - self.published) <= self.tolerance


@dataclass(frozen=True)
class Verification:
    """The outcome of every check, and the reruns."""

    submission: Submission
    outcomes: Sequence[checks.Outcome]
    reruns: Sequence[Rerun] = ()

    @property
    def ok(self) -> bool:
        """Whether every check and every rerun passed."""
        return all(outcome.ok for outcome in self.outcomes) and all(rerun.ok for rerun in self.reruns)

    @property
    def badge(self) -> str:
        """One of `BADGES`."""
        if not self.ok:
            return "reported"
        return "verified" if self.reruns else "recomputed"


def verify(folder: Path) -> Verification:
    """Check the publication in `folder` without executing any of it. Raises UserError if it is not a publication.

    The checks of one publication may take `SECONDS`.
    """
    with deadline(SECONDS, str(folder)):
        submission = read_submission(folder)
        return Verification(submission, checks.run(submission))


def draw(submission: Submission, count: int, seed: int, data: Sequence[Path] = ()) -> list[Job]:
    """`count` random finished jobs of the published rule, with the published code.

    Local folders that the jobs read are not published. They are looked for at the author's paths and in `data`. Raises
    UserError if one is missing, if no job finished, or if this version of grape-bench would give other numbers.
    """
    finished = {name: record for name, record in submission.own.items() if record.status is Status.FINISHED}
    if not finished:
        raise UserError("no finished job to rerun", where=str(submission.folder))
    names = random.Random(seed).sample(sorted(finished), min(count, len(finished)))
    for name in names:
        if reason := outdated([finished[name]]):
            hint = "verify without --rerun, or use the version that made these runs"
            raise UserError(reason, where=name, hint=hint)
    return [local(finished[name].job, submission.folder, data) for name in names]


def rerun(submission: Submission, jobs: Sequence[Job], tolerance: float, sweep: Sweep) -> list[Rerun]:
    """Run `jobs` with `sweep` and compare the results with the published ones. This executes the published rule.

    `tolerance` is in points: see `Metric.tolerance`.
    """
    suite = Suite.model_validate(submission.suite)
    records = {record.id: record for record in sweep(Plan(suite, submission.folder / SUITE, list(jobs)))}
    return [
        Rerun(
            name=job.name,
            published=submission.records[job.name].test,
            found=new.test if (new := records[job.id]).status is Status.FINISHED else None,
            tolerance=METRICS[submission.records[job.name].scored_by.name].tolerance(
                tolerance, submission.records[job.name].test
            ),
        )
        for job in jobs
    ]


def write_verification(verification: Verification, seed: int) -> Path:
    """Save the reruns as `verification.json` next to the index. They are valid for exactly this content."""
    path = verification.submission.folder / VERIFICATION
    reruns = [
        {"name": r.name, "published": r.published, "found": r.found, "tolerance": r.tolerance, "ok": r.ok}
        for r in verification.reruns
    ]
    content = {"id": verification.submission.index["id"], "badge": verification.badge, "when": now(), "seed": seed}
    write_json(path, {**content, "reruns": reruns})
    return path


def badge_of(verification: Verification) -> str:
    """The badge of a publication. It is "verified" if the checks pass and saved reruns belong to this content."""
    try:
        saved = parse_object(read_text(verification.submission.folder / VERIFICATION, Largest.DOCUMENT))
    except (OSError, ValueError, RecursionError):
        return verification.badge
    same = saved.get("id") == verification.submission.index["id"]
    return "verified" if same and verification.ok and saved.get("badge") == "verified" else verification.badge

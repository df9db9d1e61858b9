"""Verify a published folder: the outcome of its checks and reruns, and the badge that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grape_bench.publish import checks
from grape_bench.publish.submission import Submission, read_submission
from grape_bench.record.deadline import deadline

if TYPE_CHECKING:  # reruns load data, and with it torch
    from grape_bench.publish.rerun import Rerun

SECONDS = 60  # for the checks of one publication

BADGES = {
    "reported": "numbers as the author gave them",
    "recomputed": "records and curves agree, and they reproduce every number of the table",
    "verified": "recomputed, and a rerun of random jobs gave the same results",
}


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

"""From a published folder to its badge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grape_bench.publish import checks
from grape_bench.publish.rerun import Rerun
from grape_bench.publish.submission import Submission, read_submission

BADGES = {
    "reported": "numbers as their author gave them",
    "recomputed": "every number comes out again from records and curves that agree with each other",
    "verified": "recomputed, and cells drawn at random were run again with the same outcome",
}


@dataclass(frozen=True)
class Verification:
    """What was checked of a publication, and what was run again."""

    submission: Submission
    outcomes: Sequence[checks.Outcome]
    reruns: Sequence[Rerun] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return all(outcome.ok for outcome in self.outcomes) and all(rerun.ok for rerun in self.reruns)

    @property
    def badge(self) -> str:
        """One of `BADGES`."""
        if not self.ok:
            return "reported"
        return "verified" if self.reruns else "recomputed"


def verify(folder: Path) -> Verification:
    """Check the publication in `folder` without executing anything of it; raises UserError where it is none."""
    submission = read_submission(folder)
    return Verification(submission, checks.run(submission))

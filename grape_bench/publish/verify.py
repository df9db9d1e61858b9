"""Verify a published folder: the outcome of the checks and reruns, and the badge that they give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grape_bench.publish import checks
from grape_bench.publish.index import VERIFICATION
from grape_bench.publish.rerun import Rerun
from grape_bench.publish.submission import Submission, read_submission
from grape_bench.record.record import now
from grape_bench.record.write import write_json

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
    """Check the publication in `folder` without executing any of it. Raises UserError if it is not a publication."""
    submission = read_submission(folder)
    return Verification(submission, checks.run(submission))


def write_verification(verification: Verification, seed: int) -> Path:
    """Save the reruns as `verification.json` next to the index. They are valid for exactly this content."""
    path = verification.submission.folder / VERIFICATION
    reruns = [
        {
            "name": one.name,
            "published": one.published,
            "found": one.found,
            "tolerance": one.tolerance,
            "exact": one.exact,
            "caveats": list(one.caveats),
            "ok": one.ok,
        }
        for one in verification.reruns
    ]
    content = {"id": verification.submission.index["id"], "badge": verification.badge, "when": now(), "seed": seed}
    write_json(path, {**content, "reruns": reruns})
    return path


def badge_of(verification: Verification) -> str:
    """The badge of a publication. It is "verified" if the checks pass and saved reruns belong to this content."""
    try:
        saved = json.loads((verification.submission.folder / VERIFICATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return verification.badge
    same = isinstance(saved, dict) and saved.get("id") == verification.submission.index["id"]
    return "verified" if same and verification.ok and saved.get("badge") == "verified" else verification.badge

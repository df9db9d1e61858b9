"""Every run used a clean commit or an installed version."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grape_bench.publish.submission import Submission
from grape_bench.track.environment import INSTALLED

FEWEST_DIGITS = 9
"""Different digits in the hash of a commit."""


def problems(submission: Submission) -> Iterator[str]:
    """Check the git state, the versions and the hardware of every record."""
    for name, record in submission.records.items():
        git, packages = record.environment.git, record.environment.packages
        installed = git == INSTALLED and "grape-bench" in packages
        if not installed and not _is_commit(git.commit):
            yield f"{name}: the commit is unknown"
        if not installed and git.dirty is not False:
            yield f"{name}: the checkout had uncommitted changes"
        if "torch" not in packages:
            yield f"{name}: the version of torch is not recorded"
        if not record.environment.hardware.kind:
            yield f"{name}: the hardware is not recorded"


def _is_commit(text: str) -> bool:
    """Whether `text` can be the hash of a commit. One hash in a hundred million has fewer different digits."""
    return bool(re.fullmatch(r"[0-9a-f]{40}", text)) and len({*text}) >= FEWEST_DIGITS

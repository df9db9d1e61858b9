"""Every run was made from a commit without uncommitted changes, or from an installed version."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grape_bench.publish.submission import Submission


def problems(submission: Submission) -> Iterator[str]:
    """Git's state, versions and hardware of every record."""
    for name, record in submission.readable.items():
        environment = record.get("environment") or {}
        git = environment.get("git") or {}
        packages = environment.get("packages") or {}
        # An installed package knows no commit (git_state says unknown and null): its version stands for the source.
        installed = git == {"commit": "unknown", "dirty": None} and "grape-bench" in packages
        if not installed and not re.fullmatch(r"[0-9a-f]{40}", str(git.get("commit"))):
            yield f"{name}: of no known commit"
        if not installed and git.get("dirty") is not False:
            yield f"{name}: made with uncommitted changes"
        if "torch" not in packages:
            yield f"{name}: the version of torch is not recorded"
        if not (environment.get("hardware") or {}).get("class"):
            yield f"{name}: the hardware is not recorded"

"""Each part of the engine has one version in all records."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.publish.submission import Submission
from grape_bench.score.comparable import mixed


def problems(submission: Submission) -> Iterator[str]:
    """Find a rule, model, data set, trainer or cuts with two `numerics` integers."""
    yield from mixed(submission.records.values())

"""No part of the engine appears in two versions."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.publish.submission import Submission
from grape_bench.score.comparable import mixed


def problems(submission: Submission) -> Iterator[str]:
    """A rule, model, data set, trainer or cuts with two `numerics` integers."""
    yield from mixed(submission.records.values())

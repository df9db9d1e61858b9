"""All rules of a task have equal budgets, and each seed appears once."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.errors import UserError
from grape_bench.publish.submission import Submission
from grape_bench.score.cell import cells
from grape_bench.score.comparable import check_budget


def problems(submission: Submission) -> Iterator[str]:
    """The reason to refuse a table of these records."""
    try:
        check_budget(cells(submission.records.values()).values())
    except UserError as error:
        yield f"{error.where}: {error.what}" if error.where else error.what

"""All rules have equal budgets, and each has every seed of BP once."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.errors import UserError
from grape_bench.publish.submission import Submission
from grape_bench.score.cell import cells
from grape_bench.score.comparable import check_budget


def problems(submission: Submission) -> Iterator[str]:
    """Reasons to refuse a table of these records, and missing seeds."""
    records = list(submission.records.values())
    try:
        grid = cells(records)
        check_budget(grid.values())
    except UserError as error:
        yield f"{error.where}: {error.what}" if error.where else error.what
        return
    for (task, rule), cell in grid.items():
        bp = grid.get((task, "bp"))
        if bp is None:
            yield f"{task}: no run of bp"
        elif lacking := sorted({r.seed for r in bp.records} - {r.seed for r in cell.records}):
            yield f"{task}, {rule}: no record of seed {', '.join(map(str, lacking))}, which bp has"

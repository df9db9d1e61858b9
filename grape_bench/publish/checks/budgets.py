"""All rules had equal budgets, every seed once, and the seeds are those of the references."""

from __future__ import annotations

from collections.abc import Iterator

from grape_bench.errors import UserError
from grape_bench.publish.submission import Submission
from grape_bench.score.cell import cells
from grape_bench.score.comparable import check_budget


def problems(submission: Submission) -> Iterator[str]:
    """What a table of these records would be refused for, and seeds that are missing."""
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
            yield f"{task}: there is no run of bp"
        elif lacking := sorted({r.seed for r in bp.records} - {r.seed for r in cell.records}):
            yield f"{task}, {rule}: no record of seed {', '.join(map(str, lacking))}, which bp has"

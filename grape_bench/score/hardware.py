"""Whether times and memory of two cells may be compared."""

from __future__ import annotations

from collections.abc import Mapping

from grape_bench.score.cell import Cell


def classes(cell: Cell, bp: Cell | None, grid: Mapping[tuple[str, str], Cell]) -> list[str]:
    """The hardware classes that `cell` and its measure ran on, sorted.

    The measure is BP on the same task, so that a rule added from another machine costs no other rule its numbers;
    without BP it is all rules of the task.
    """
    if bp is not None and bp.results:
        return sorted({*cell.hardware, *bp.hardware})
    return sorted({name for other in grid.values() if other.task == cell.task for name in other.hardware})


def comparable(cell: Cell, bp: Cell | None, grid: Mapping[tuple[str, str], Cell]) -> bool:
    """Whether that is one class."""
    return len(classes(cell, bp, grid)) <= 1

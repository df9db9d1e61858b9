"""The resolution floor: the smallest difference that a number of seeds can detect on a task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from grape_bench.record.record import Record
from grape_bench.score.cell import Grid, cells
from grape_bench.score.metric import Metric
from grape_bench.score.power import smallest_difference
from grape_bench.score.references import References


def floors(grid: Grid, seeds: Mapping[str, int]) -> dict[str, float]:
    """Task -> the smallest true difference, in score, that a paired t-test of `seeds[task]` seeds finds.

    Two-sided, 5 %, with 80 % power. The spread is pooled over the paired differences of BP, DFA and the control. NaN
    where it is unknown.
    """
    return {task: smallest_difference(n, math.sqrt(References.of(grid, task).pooled[0])) for task, n in seeds.items()}


def stated(grid: Grid) -> Iterator[str]:
    """A sentence for the caption of a table, if a spread is known."""
    seeds = {task: len(cell.scores) for (task, rule), cell in grid.items() if rule == "bp"}
    found = {task: floor for task, floor in floors(grid, seeds).items() if floor > 0}
    if found:
        each = ", ".join(f"{text_of(floor, grid[task, 'bp'].metric)} on {task}" for task, floor in found.items())
        counts = sorted({seeds[task] for task in found})
        said = f"{counts[0]} seeds" if len(counts) == 1 else "these seeds"
        yield f"Resolution floor: a paired t-test of {said} detects a difference of {each} (80 % power)."


def planned(seeds: Mapping[str, int], recorded: Iterable[Record]) -> Iterator[str]:
    """Lines for a plan: by task, what its number of seeds can detect, given the spread of `recorded` results."""
    grid = cells(recorded)
    known = {task: floor for task, floor in floors(grid, seeds).items() if floor > 0}
    yield "resolution: the smallest difference that these seeds detect (80 % power)"
    for task, n in seeds.items():
        if task in known:
            yield f"  {task}, {n} seeds: {text_of(known[task], grid[task, 'bp'].metric)}"
        elif n > 1:
            yield f"  {task}, {n} seeds: {smallest_difference(n):.1f} standard deviations of the paired difference"
        else:
            yield f"  {task}, one seed: none"


def text_of(difference: float, metric: Metric) -> str:
    """A length in score: `2.4 points` of a percentage, else with the scale that it is on."""
    if metric.unit == "%":
        return f"{difference:.2g} points" if difference < 10 else f"{difference:.0f} points"
    unit = f" {metric.unit}" if metric.unit else ""
    return f"{difference:.2g}{unit} in {metric.scale or metric.heading}"

"""A claim from the literature, and what recorded runs say about it. docs/protocol.md explains the three words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from grape_bench.errors import unknown
from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN
from grape_bench.score.cell import Cell, Grid, common_seeds, looks_of
from grape_bench.score.inference import CONFIDENCE, LEVEL, Interval, half_width, mean, p_above
from grape_bench.score.lead import FEW
from grape_bench.score.references import References
from grape_bench.score.standing import margin

HOLDS, FAILS, OPEN = "holds here", "does not hold here", "cannot be told"

Text = Annotated[str, Field(min_length=1)]
Quantity = Literal["score", "signal_cos", "feedback_cos"]


class Claim(BaseModel):
    """One file of claims/: the sentence, its source, and the comparison of `rule` with `than` that would show it.

    `direction` is that of rule - than on every one of `tasks`. The difference has to exceed `by`. A difference within
    `margin` does not matter: by default a tenth of BP - frozen. So "not below" means above -`margin`. With
    `more_than_on`, the claim is about how much larger the difference is than on that task. `untestable` says why these
    runs cannot tell, whatever the difference is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sentence: Text
    source: Text
    published: Text
    differs: Text
    suite: Text
    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    rule: Text
    than: Text
    direction: Literal["above", "below", "not below"] = "above"
    quantity: Quantity = "score"
    by: Annotated[float, Field(ge=0)] = 0.0
    margin: Annotated[float, Field(gt=0)] | None = None
    more_than_on: str = ""
    untestable: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.direction == "not below" and self.by:
            raise ValueError('`by` is for the directions "above" and "below"')
        if self.quantity != "score" and self.margin is None:
            raise ValueError("a cosine needs a `margin` of its own")
        return self


@dataclass(frozen=True)
class Observed:
    """The comparison on one task: the mean difference with its 95 % interval, the margin, and one of the three words.

    `p_holds` and `p_fails` are the p-values behind the words. A word is given below LEVEL. `reason` says why nothing
    can be told, unless both are too large.
    """

    task: str
    word: str
    difference: Interval
    margin: float
    reason: str = ""
    p_holds: float = math.nan
    p_fails: float = math.nan


def judge(claim: Claim, grid: Grid) -> list[Observed]:
    """What the cells in `grid` say about `claim`, task by task. Raises UserError if it names a task without cells."""
    tasks = sorted({task for task, _ in grid})
    for task in (*claim.tasks, *([claim.more_than_on] if claim.more_than_on else [])):
        if task not in tasks:
            raise unknown("task", task, tasks, where=f"claim about {claim.suite}")
    return [_on(claim, grid, task) for task in claim.tasks]


def overall(observed: Sequence[Observed]) -> str:
    """The word on the whole claim. It holds if it holds on every task, and fails if it fails on one."""
    words = {one.word for one in observed}
    if FAILS in words:
        return FAILS
    return HOLDS if words == {HOLDS} else OPEN


def p_value(observed: Sequence[Observed]) -> float:
    """The p-value of the word on the whole claim; the smaller of the two if it is open. NaN if nothing can be told.

    To hold, a claim has to hold on every task, so the largest p counts. To fail, it has to fail on one.
    """
    told = [one for one in observed if not one.reason]
    word = overall(told)
    if word == FAILS:
        return min(one.p_fails for one in told)
    if not told or len(told) < len(observed):
        return math.nan
    holds = max(one.p_holds for one in told)
    return holds if word == HOLDS else min(holds, *(one.p_fails for one in told))


def _on(claim: Claim, grid: Grid, task: str) -> Observed:
    cells = [grid.get((task, name)) for name in (claim.rule, claim.than)]
    if claim.more_than_on:
        cells += [grid.get((claim.more_than_on, name)) for name in (claim.rule, claim.than)]
    present = [cell for cell in cells if cell and cell.results]
    if len(present) < len(cells):
        return Observed(task, OPEN, Interval(math.nan, math.nan, 0), math.nan, "a rule has no result")
    found = _differences(claim, present)
    looks = looks_of(*present[:2])
    counted = Interval(mean(found), half_width(found, 1 - (1 - CONFIDENCE) / looks), len(found))
    limit = claim.margin if claim.margin is not None else margin(present[0], present[1], References.of(grid, task))
    if len(found) < FEW:
        return Observed(task, OPEN, counted, limit, f"fewer than {FEW} seeds")
    if claim.untestable or _untrained(claim, grid, task):
        reason = claim.untestable or "neither rule is above untrained features"
        return Observed(task, OPEN, counted, limit, reason)
    if math.isnan(limit):
        limit = claim.by  # without BP and `frozen` there is no margin
    holds, fails = (min(1.0, looks * p) for p in _p_values(claim, found, limit))
    word = HOLDS if holds < LEVEL else FAILS if fails < LEVEL else OPEN
    return Observed(task, word, counted, limit, "", holds, fails)


def _untrained(claim: Claim, grid: Grid, task: str) -> bool:
    """Whether both rules end below the control, so that their order says nothing about training."""
    if claim.quantity != "score" or (control := grid.get((task, FROZEN))) is None:
        return False
    means = [mean(grid[task, rule].scores.values()) for rule in (claim.rule, claim.than)]
    return max(means) < mean(control.scores.values())


def _p_values(claim: Claim, differences: Sequence[float], limit: float) -> tuple[float, float]:
    """The p-values of "the claim holds" and of "it does not hold".

    A difference is tested on two sides, and the absence of one on the side of the margin. A claim holds if it holds on
    every task, so that needs no correction. It fails if it fails on one, so failures share their 5 % over the tasks.
    """
    found = [-x for x in differences] if claim.direction == "below" else differences
    mirrored = [-x for x in found]
    if claim.direction == "not below":
        return p_above(found, -limit), 2 * len(claim.tasks) * p_above(mirrored, limit)
    return 2 * p_above(found, claim.by), len(claim.tasks) * p_above(mirrored, -max(claim.by, limit))


def _differences(claim: Claim, cells: Sequence[Cell]) -> list[float]:
    """rule - than for each seed that all `cells` have, minus the same on the other task if there is one."""
    value = VALUES[claim.quantity]
    columns = [value(cell) for cell in cells]
    seeds = [seed for seed in common_seeds(cells) if all(seed in column for column in columns)]
    signs = (1, -1, -1, 1)  # rule - than here, minus rule - than on the other task
    return [sum(sign * column[seed] for sign, column in zip(signs, columns, strict=False)) for seed in seeds]


def _diagnosed(name: str) -> Callable[[Cell], dict[int, float]]:
    """Seed -> a number of the diagnostics, for the seeds that have it."""

    def of(record: Record) -> float | None:
        found: float | None = getattr(record.diagnostics, name) if record.diagnostics else None
        return found

    return lambda cell: {record.seed: found for record in cell.results if (found := of(record)) is not None}


VALUES: dict[str, Callable[[Cell], dict[int, float]]] = {
    "score": lambda cell: cell.scores,
    "signal_cos": _diagnosed("signal_cos"),
    "feedback_cos": _diagnosed("feedback_cos"),
}
"""What each `quantity` reads from a cell: seed -> number."""

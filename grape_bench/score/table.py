"""Records to the benchmark's table: one row per task and rule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from grape_bench.record.record import Record
from grape_bench.score import best, budget, formulas, hardware, numerics
from grape_bench.score.cell import Cell, cells
from grape_bench.score.interval import interval
from grape_bench.score.metric import METRICS
from grape_bench.score.paired import means
from grape_bench.score.verdict import judge

DRAFT_BELOW = 5
ALWAYS = ("task", "rule", "n", "draft", "accuracy", "accuracy_ci")
# BP is its own reference in these: without another rule's value the column says nothing.
RELATIVE_TO_BP = ("step_ratio", "memory_ratio", "flops_ratio")
# These compare a rule with the whole table; no other column changes when a rule is added.
RELATIVE_TO_ALL = ("p_best", "best")


def score(records: Iterable[Record]) -> pd.DataFrame:
    """The table of `records`: one row per (task, rule), tasks and rules in the records' order, BP first.

    - task, rule, n (seeds with a result), draft (n below 5), status ("crashed 1/3"; empty when all finished);
    - accuracy and accuracy_ci: test accuracy in percent, mean and half-width of the 95 % t-interval over the
      seeds with a result. A diverged seed counts with the accuracy of chance; crashed, out-of-memory and
      timed-out ones do not count;
    - norm_acc, credit, gap_closed: from means over the seeds that the rule shares with its references (BP
      and, in turn, none, head-only, DFA), so that both sides of a difference saw equal weights and batches;
    - perplexity and perplexity_ci in their place where that is the task's metric; scores are then of its logarithm;
    - step_ratio (median of the profiled jobs), memory_ratio (mean peak ÷ BP's mean peak of the task; BP's own
      is 1), flops_ratio (counted), bp_fraction (mean), trials (of the
      search that found the settings; 1: the suite's own), hardware (class);
    - verdict: whether it trained its hidden layers (see `verdict`), empty where that cannot be told;
    - p_best (of the difference from the best of the task, paired and Holm-adjusted) and best: whether the rule is
      to be printed bold (see `best`).

    A missing value is NaN, and a column without any value is absent. Ratios are measured against BP in the
    same process (time) or on the same task (memory), yet they change with the hardware: where a rule was not
    measured on BP's hardware class alone they are NaN. `attrs["notes"]` tells which, and why.

    Raises UserError for records that must not stand side by side (see `budget.check` and `numerics.check`).
    """
    every = list(records)
    grid = cells(every)
    budget.check(grid.values())
    numerics.check(every)
    notes = [line] if (line := numerics.outdated(every)) else []
    rows = [_row(cell, grid, notes) for cell in grid.values()]
    for task in dict.fromkeys(task for task, _ in grid):
        standing = best.of_task([cell for cell in grid.values() if cell.task == task])
        for row in rows:
            if row["task"] == task:
                row["p_best"], row["best"] = standing.get(row["rule"], (math.nan, False))
    table = pd.DataFrame(rows, columns=None if rows else list(ALWAYS))
    table = table.drop(columns=[name for name in table if name not in ALWAYS and _empty(table, str(name))])
    table.attrs["notes"] = list(dict.fromkeys(notes))
    return table


def _row(cell: Cell, grid: Mapping[tuple[str, str], Cell], notes: list[str]) -> dict[str, Any]:
    bp, head_only, dfa = (grid.get((cell.task, rule)) for rule in ("bp", "head-only", "dfa"))
    measured = _measured(cell)
    own, high = means(cell, bp)
    row = {
        "task": cell.task,
        "rule": cell.rule,
        "n": len(cell.scores),
        "draft": len(cell.scores) < DRAFT_BELOW,
        "status": cell.status,
        **measured,
        "norm_acc": formulas.norm_acc(own, chance=cell.chance, bp=high),
    }
    own, high, low = means(cell, bp, head_only)
    row["credit"] = formulas.credit(own, head_only=low, bp=high)
    _note_order(cell.task, "head-only", low, high, notes)
    own, high, low = means(cell, bp, dfa)
    row["gap_closed"] = formulas.gap_closed(own, dfa=low, bp=high)
    _note_order(cell.task, "dfa", low, high, notes)
    comparable = _on_one_class(cell, bp, grid, notes)
    row["step_ratio"] = _step_ratio(cell) if comparable else math.nan
    row["memory_ratio"] = _memory_ratio(cell, bp) if comparable else math.nan
    row["flops_ratio"] = 1.0 if cell.rule == "bp" and cell.results else cell.flops_ratio
    row["bp_fraction"] = cell.bp_fraction
    row["trials"] = cell.trials
    row["hardware"] = "; ".join(cell.hardware)
    row["verdict"] = judge(cell, head_only).word
    return row


def _measured(cell: Cell) -> dict[str, float]:
    """Mean and half-width of the interval, under the name of the task's metric; the other metrics' are NaN.

    A perplexity is averaged as its logarithm, and the half-width is that of the interval's longer, upper side.
    """
    found, metric = interval(cell.scores.values()), cell.metric
    values = {f"{name}{end}": math.nan for name in METRICS for end in ("", "_ci")}
    values[metric.name] = metric.value(found.mean)
    values[f"{metric.name}_ci"] = metric.half_width(found.mean, found.half_width)
    return values


def _step_ratio(cell: Cell) -> float:
    return 1.0 if cell.rule == "bp" and cell.results else cell.step_ratio


def _memory_ratio(cell: Cell, bp: Cell | None) -> float:
    # Resident memory of a process and allocated memory of a GPU are different quantities.
    if bp is None or len(cell.memory_kinds | bp.memory_kinds) > 1:
        return math.nan
    return cell.peak_bytes / bp.peak_bytes


def _on_one_class(cell: Cell, bp: Cell | None, grid: Mapping[tuple[str, str], Cell], notes: list[str]) -> bool:
    """Whether the ratios of `cell` may stand beside the others of its task; a note where not."""
    classes = hardware.classes(cell, bp, grid)
    if len(classes) > 1:
        notes.append(
            f"{cell.task}, {cell.rule}: no time or memory ratio, measured on different hardware ({', '.join(classes)})"
        )
    return len(classes) <= 1


def _note_order(task: str, reference: str, low: float, high: float, notes: list[str]) -> None:
    if low >= high:
        column = {"head-only": "credit", "dfa": "gap_closed"}[reference]
        notes.append(f"{task}: bp is not above {reference}, so {column} has no meaning there")


def _empty(table: pd.DataFrame, name: str) -> bool:
    others = table.loc[table["rule"] != "bp", name] if name in RELATIVE_TO_BP else table[name]
    return bool((others.isna() | (others == "")).all())

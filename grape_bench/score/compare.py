"""Compare two rules, or two sets of runs, paired by task and seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from grape_bench.errors import UserError, unknown
from grape_bench.record.record import Record
from grape_bench.record.rule_name import RuleName
from grape_bench.score import comparable
from grape_bench.score.cell import Cell, cells, differences, looks_of
from grape_bench.score.inference import (
    LEVEL,
    SEED,
    Bootstrapped,
    Interval,
    bootstrap_mean,
    holm,
    interval,
    over_looks,
    paired_t,
)
from grape_bench.score.lead import above_chance
from grape_bench.score.overall import ByTask, paired_p, pairs
from grape_bench.score.references import References
from grape_bench.score.standing import seeds_to_settle, tied
from grape_bench.score.verdict import judge

UNRESOLVED = "not resolved"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a set of runs named `name`, and the rule chosen from it, if any."""

    name: str
    records: Sequence[Record]
    rule: str = ""

    @property
    def rules(self) -> dict[str, dict[str, Cell]]:
        """The cells by rule and task."""
        found: dict[str, dict[str, Cell]] = {}
        for (task, rule), cell in cells(self.records).items():
            found.setdefault(rule, {})[task] = cell
        return found


@dataclass(frozen=True)
class OnTask:
    """The comparison on one task.

    `difference` is first - second in score over the common seeds: accuracy in percent, minus the log of a perplexity.
    `p` is Holm-adjusted. `step` and `memory` are first ÷ second, NaN unless both ran on one hardware class. `judged`
    holds the verdict on each rule (see `verdict.judge`), "" if there is none. `needed` is the number of seeds that
    would settle an unresolved pair with 80 % power: None if it is resolved or tied, or if no spread is known.
    """

    first: Cell
    second: Cell
    difference: Interval
    p: float
    step: float
    memory: float
    judged: tuple[str, str]
    references: References
    needed: int | None = None

    @property
    def verdict(self) -> str:
        """ "above", "below", "tied", "not resolved", or "no result" if the two rules share no seed."""
        if self.difference.n == 0:
            return "no result"
        found = _verdict(self.difference.mean, self.p)
        return "tied" if found == UNRESOLVED and tied(self.first, self.second, self.references) else found


@dataclass(frozen=True)
class Overall:
    """The comparison over all tasks: the mean difference, and `p` of the sign-flip test over all (task, seed) pairs.

    `unit` is "norm acc", as in the table over all tasks: over the tasks on which BP is above chance. `left_out` are the
    others. If BP is above chance on fewer than two tasks, `unit` is "score", over all of them, which share a metric.
    """

    difference: Bootstrapped
    unit: str
    p: float
    pairs: int
    left_out: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """ "above", "below" or "not resolved"."""
        return _verdict(self.difference.value, self.p)


@dataclass(frozen=True)
class Comparison:
    """Two named rules, task by task and over all tasks. `overall` is None if the tasks have no mean."""

    first: str
    second: str
    tasks: tuple[OnTask, ...]
    overall: Overall | None

    @property
    def worse(self) -> bool:
        """True if `first` is below, diverged on more seeds, or has no result although `second` has one."""
        lost = any(task.verdict in ("below", "no result") and task.second.results for task in self.tasks)
        diverged = any(task.first.diverged > task.second.diverged for task in self.tasks)
        return lost or diverged or (self.overall is not None and self.overall.verdict == "below")


def compare_sides(first: Side, second: Side) -> list[Comparison]:
    """Compare the rule chosen on each side, or the only rule of each, or else every rule that both sides have.

    p-values are Holm-adjusted over all comparisons. Raises UserError if no rules match, or if the records may not
    share a table (see `comparable.check`).
    """
    own, other = first.rules, second.rules
    named = []
    for rule, against in _matches(first, second):
        names = (rule, against) if rule != against else (f"{rule} ({first.name})", f"{rule} ({second.name})")
        named.append(((names[0], own[rule]), (names[1], other[against])))
    references = _references(other, own)
    _check([cell for pair in named for _, by_task in pair for cell in by_task.values()], references)
    made = [_compare(one, two, references) for one, two in named]
    if not any(comparison.tasks for comparison in made):
        raise UserError("the two sets of runs have no task in common", where=f"{first.name}, {second.name}")
    return _corrected(made)


def compare_rules(records: Sequence[Record], rules: Iterable[str], against: Iterable[str]) -> list[Comparison]:
    """Compare each of `rules` with each of `against`, all from `records`."""
    by_rule = Side("", records).rules
    references = _references(by_rule)
    _check([cell for by_task in by_rule.values() for cell in by_task.values()], references)
    pairs = [(rule, other) for rule in rules for other in against if rule != other]
    return _corrected([_compare((rule, by_rule[rule]), (other, by_rule[other]), references) for rule, other in pairs])


def _references(*sides: Mapping[str, ByTask]) -> dict[str, References]:
    """The references of each task. Where both sides have one, that of the last side counts."""
    grid = {
        (task, rule): cell for by_rule in sides for rule, by_task in by_rule.items() for task, cell in by_task.items()
    }
    return {task: References.of(grid, task) for task, _ in grid}


def _check(used: list[Cell], references: Mapping[str, References]) -> None:
    tasks = {cell.task for cell in used}
    others = [cell for task in tasks for cell in references[task].named.values()]
    distinct = {id(cell): cell for cell in [*used, *others]}
    comparable.check(distinct.values())


def _matches(first: Side, second: Side) -> list[tuple[str, str]]:
    own, other = _candidates(first), _candidates(second)
    if len(own) == len(other) == 1:
        return [(own[0], other[0])]
    shared = [rule for rule in own if rule in other]
    if not shared:
        raise UserError(
            "the two sets of runs share no rule",
            where=f"{first.name} ({', '.join(own)}), {second.name} ({', '.join(other)})",
            hint=f"choose one on each side: {first.name}#{own[0]} {second.name}#{other[0]}",
        )
    return [(rule, rule) for rule in shared]


def _candidates(side: Side) -> list[str]:
    rules = side.rules
    if not side.rule:
        return list(rules)
    wanted = RuleName.parse(side.rule).label  # `Mine` and `my/rules.py:Mine` are the same row
    found = [rule for rule in rules if side.rule == rule] or [r for r in rules if RuleName.parse(r).label == wanted]
    if not found:
        raise unknown("rule", side.rule, rules, where=side.name)
    return found


def _compare(first: tuple[str, ByTask], second: tuple[str, ByTask], references: Mapping[str, References]) -> Comparison:
    """Compare on the tasks that both have, in the order of the first, without Holm's correction."""
    shared = [task for task in first[1] if task in second[1]]
    tasks = tuple(_on_task(first[1][task], second[1][task], references[task]) for task in shared)
    return Comparison(first[0], second[0], tasks, _overall(tasks) if len(tasks) > 1 else None)


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Apply Holm's correction: once over all tasks of all comparisons, once over their overall rows."""
    tests = {(i, j): task.p for i, c in enumerate(comparisons) for j, task in enumerate(c.tasks)}
    by_task = holm(tests)
    overall = holm({i: c.overall.p for i, c in enumerate(comparisons) if c.overall})
    return [
        replace(
            c,
            tasks=tuple(_with_needed(replace(task, p=by_task[i, j]), len(tests)) for j, task in enumerate(c.tasks)),
            overall=replace(c.overall, p=overall[i]) if c.overall else None,
        )
        for i, c in enumerate(comparisons)
    ]


def _with_needed(task: OnTask, tests: int) -> OnTask:
    """`task` with the seeds that would settle it, if it is not settled, as one of `tests`."""
    if task.verdict != UNRESOLVED:
        return task
    return replace(task, needed=seeds_to_settle(task.first, task.second, task.references, tests))


def _on_task(first: Cell, second: Cell, references: References) -> OnTask:
    pairs = differences(first, second)
    one_class = len({*first.hardware, *second.hardware}) == 1
    return OnTask(
        first=first,
        second=second,
        difference=interval(pairs),
        p=over_looks(paired_t(pairs), looks_of(first, second)),
        step=first.step_ratio / second.step_ratio if one_class else math.nan,
        memory=first.memory_ratio(second) if one_class else math.nan,
        judged=(judge(first, references).word, judge(second, references).word),
        references=references,
    )


def _overall(tasks: Sequence[OnTask]) -> Overall | None:
    """The comparison in norm acc, or else in score. None if the two rules share no seed on some task.

    Scores have no mean if the tasks have several metrics: points of accuracy and units of the data do not add up.
    """
    first, second = {task.first.task: task.first for task in tasks}, {task.first.task: task.second for task in tasks}
    bp = {task: cell for task, cell in _bp(tasks).items() if above_chance(cell)}
    scaled = pairs(first, second, bp) if len(bp) > 1 else []
    known = bool(scaled) and all(scaled)
    by_task = scaled if known else [differences(first[task], second[task]) for task in sorted(first)]
    if not all(by_task) or (not known and len({cell.metric.name for cell in first.values()}) > 1):
        return None
    used = bp if known else first
    found = bootstrap_mean(by_task, np.random.default_rng(SEED))
    p = paired_p(by_task, [side[task] for side in (first, second) for task in used])
    left_out = tuple(task for task in first if task not in used)
    return Overall(found, "norm acc" if known else "score", p, sum(map(len, by_task)), left_out)


def _bp(tasks: Sequence[OnTask]) -> dict[str, Cell]:
    return {task.first.task: task.references.bp for task in tasks if task.references.bp}


def _verdict(difference: float, p: float) -> str:
    if math.isnan(p) or p >= LEVEL:
        return UNRESOLVED
    return "above" if difference > 0 else "below"

"""Which rules of two sets of runs are compared with each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from grape_bench.errors import UserError, unknown
from grape_bench.record.record import Record
from grape_bench.score import budget, numerics
from grape_bench.score.cell import Cell, cells
from grape_bench.score.compare import Comparison, References, compare, corrected


@dataclass(frozen=True)
class Side:
    """One set of runs, called `name`; `rule`, where one of its rules was chosen."""

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


def compare_sides(first: Side, second: Side) -> list[Comparison]:
    """The rule chosen on each side; else the only rule of each; else every rule that both have, with itself.

    p-values are Holm-adjusted over all of them. Raises UserError where no rules match, or where the records must not
    stand side by side (see `budget.check`).
    """
    own, other = first.rules, second.rules
    named = []
    for rule, against in _matches(first, second):
        names = (rule, against) if rule != against else (f"{rule} ({first.name})", f"{rule} ({second.name})")
        named.append(((names[0], own[rule]), (names[1], other[against])))
    bp, head_only = ({**other.get(rule, {}), **own.get(rule, {})} for rule in ("bp", "head-only"))
    references = References(bp, head_only)
    _check([cell for pair in named for _, by_task in pair for cell in by_task.values()], references)
    made = [compare(one, two, references) for one, two in named]
    if not any(comparison.tasks for comparison in made):
        raise UserError("the two sets have no task in common", where=f"{first.name}, {second.name}")
    return corrected(made)


def compare_rules(records: Sequence[Record], rules: Iterable[str], against: Iterable[str]) -> list[Comparison]:
    """Each of `rules` with each of `against`, all among `records`."""
    by_rule = Side("", records).rules
    references = References(by_rule.get("bp", {}), by_rule.get("head-only", {}))
    _check([cell for by_task in by_rule.values() for cell in by_task.values()], references)
    pairs = [(rule, other) for rule in rules for other in against if rule != other]
    return corrected([compare((rule, by_rule[rule]), (other, by_rule[other]), references) for rule, other in pairs])


def _check(used: list[Cell], references: References) -> None:
    distinct = {id(cell): cell for cell in [*used, *references.bp.values(), *references.head_only.values()]}
    budget.check(distinct.values())
    numerics.check([record for cell in distinct.values() for record in cell.records])


def _matches(first: Side, second: Side) -> list[tuple[str, str]]:
    own, other = _candidates(first), _candidates(second)
    if len(own) == len(other) == 1:
        return [(own[0], other[0])]
    shared = [rule for rule in own if rule in other]
    if not shared:
        raise UserError(
            "no rule is in both sets",
            where=f"{first.name} ({', '.join(own)}), {second.name} ({', '.join(other)})",
            hint=f"choose one on each side: {first.name}#{own[0]} {second.name}#{other[0]}",
        )
    return [(rule, rule) for rule in shared]


def _candidates(side: Side) -> list[str]:
    rules = side.rules
    if not side.rule:
        return list(rules)
    if side.rule not in rules:
        raise unknown("rule", side.rule, rules, where=side.name)
    return [side.rule]

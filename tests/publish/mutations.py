"""Seeded mutations: one value of one record is changed, and the record is made to agree with it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from grape_bench.publish import checks
from grape_bench.publish.submission import Submission
from grape_bench.record.record import Record
from tests.publish.authored import Content, consistent

CHEAP_FIRST = (
    "outcomes",
    "scores",
    "times",
    "cost",
    "credit",
    "diagnostics",
    "environment",
    "identity",
    "curves",
    "copies",
    "plan",
    "equal",
    "selection",
    "names",
    "records",
    "budgets",
    "numerics",
    "suite",
    "source",
)
"""The checks that read records, in the order of their time. The checks `files` and `table` see no consistent edit."""

DERIVED = ("id", "name", "suite", "suite_version", "task", "rule", "seed", "seeds")
"""Keys of a record that `consistent` computes from the job."""


@dataclass(frozen=True)
class Mutation:
    """A place in a record, such as `result/test`, and its new value; None removes the key."""

    place: tuple[str | int, ...]
    value: Any
    removed: bool = False

    @property
    def path(self) -> str:
        """The place without the numbers of lists."""
        return "/".join(str(part) for part in self.place if not isinstance(part, int))

    def apply(self, content: Content) -> Content:
        """A copy of the record with this change."""
        changed = copy.deepcopy(content)
        inner: Any = changed
        for part in self.place[:-1]:
            inner = inner[part]
        if self.removed:
            del inner[self.place[-1]]
        else:
            inner[self.place[-1]] = self.value
        return changed


def mutations(content: Content, seed: int) -> list[Mutation]:
    """One mutation of every value in a record, in random order."""
    chosen = random.Random(seed)
    found = [_mutated(place, value, chosen) for place, value in _leaves(content) if place[0] not in DERIVED]
    chosen.shuffle(found)
    return found


def _leaves(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not items:
        yield place, value
    for key, inner in items:
        yield from _leaves(inner, (*place, key))


def _mutated(place: tuple[str | int, ...], value: Any, chosen: random.Random) -> Mutation:
    if isinstance(value, bool):
        return Mutation(place, not value)
    if isinstance(value, int):
        return Mutation(place, chosen.choice([value + 1, -value - 1, 1000 * value + 7]))
    if isinstance(value, float):
        return Mutation(place, chosen.choice([value * 1.01 + 0.01, -value - 1, 1000 * value + 7, 1e999]))
    if isinstance(value, str):
        return Mutation(place, chosen.choice([f"{value}x", value[:-1] or "y", value.swapcase() + "\u200b"]))
    if value is None:
        return Mutation(place, chosen.choice([1, "x", 0.5, {}]))
    return Mutation(place, None, removed=isinstance(place[-1], str))


def finding_check(submission: Submission, record: Record, mutation: Mutation) -> str:
    """The first check that finds the mutation of a record, or "" if none does."""
    content = mutation.apply(record.to_dict())
    try:
        consistent(content)
        forged = Record.from_dict(content)
    except (ValueError, KeyError, TypeError):
        return "records"
    curve = submission.curves[record.name]
    records = {forged.name: forged, **{name: one for name, one in submission.records.items() if name != record.name}}
    curves = {**submission.curves, forged.name: curve}
    edited = replace(submission, records=records, curves=curves)
    return next((name for name in CHEAP_FIRST if not checks.run(edited, [name])[0].ok), "")

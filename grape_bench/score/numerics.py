"""Which version of the engine made the rows of a table: one for all, or a mix that is refused."""

from __future__ import annotations

from collections.abc import Iterable

from grape_bench.errors import UserError
from grape_bench.plan.numerics import changed, parts
from grape_bench.record.record import Record


def check(records: Iterable[Record]) -> None:
    """Raise UserError if one part (a rule, a model, a data set, the trainer, the cuts) has two integers."""
    if found := mixed(records):
        raise UserError(
            f"results of two versions of the engine cannot share a table: {'; '.join(found)}",
            hint="run the suite again; it repeats only the jobs with older numerics",
        )


def mixed(records: Iterable[Record]) -> list[str]:
    """One phrase per part that appears with two integers, with the rules whose runs were made with each."""
    made: dict[str, dict[int, dict[str, None]]] = {}
    for record in records:
        for name, integer in parts(record.job).items():
            made.setdefault(name, {}).setdefault(integer, {})[record.rule] = None
    return [
        f"{name} has numerics " + " and ".join(f"{one} ({', '.join(rules)})" for one, rules in sorted(by.items()))
        for name, by in made.items()
        if len(by) > 1
    ]


def outdated(records: Iterable[Record]) -> str:
    """One line that lists the parts whose integer differs from this version's; empty if none does."""
    found: dict[str, tuple[int, int]] = {}
    for record in records:
        found.update(changed(record.job))
    listed = ", ".join(f"{name} {made} (now {now})" for name, (made, now) in sorted(found.items()))
    return f"made with different numerics than this version has: {listed}" if found else ""

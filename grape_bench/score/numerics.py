"""Whether the rows of a table were made by one version of the engine."""

from __future__ import annotations

from collections.abc import Iterable

from grape_bench.errors import UserError
from grape_bench.plan.numerics import changed, parts
from grape_bench.score.cell import Record


def check(records: Iterable[Record]) -> None:
    """Raise UserError where one part (a rule, a model, a data set, the trainer, the cuts) has two integers."""
    if found := mixed(records):
        raise UserError(
            f"results of two versions of the engine cannot share a table: {'; '.join(found)}",
            hint="run the suite again: only the jobs with older numerics are repeated",
        )


def mixed(records: Iterable[Record]) -> list[str]:
    """A sentence for each part that appears with two integers, and the rules of which runs have which."""
    made: dict[str, dict[int, dict[str, None]]] = {}
    for record in records:
        for name, integer in parts(record["job"]).items():
            made.setdefault(name, {}).setdefault(integer, {})[record["rule"]] = None
    return [
        f"{name} has numerics " + " and ".join(f"{one} ({', '.join(rules)})" for one, rules in sorted(by.items()))
        for name, by in made.items()
        if len(by) > 1
    ]


def older(records: Iterable[Record]) -> str:
    """One line on the parts whose integer is not this version's; empty where all are."""
    found: dict[str, tuple[int, int]] = {}
    for record in records:
        found.update(changed(record["job"]))
    listed = ", ".join(f"{name} {made} (now {now})" for name, (made, now) in sorted(found.items()))
    return f"made with other numerics than this version's: {listed}" if found else ""

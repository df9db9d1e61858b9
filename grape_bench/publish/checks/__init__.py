"""The checks of a publication, in order. Each is a module whose `problems` yields what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

from grape_bench.publish.submission import Submission

NAMES = (
    "files",
    "names",
    "records",
    "identity",
    "suite",
    "plan",
    "numerics",
    "budgets",
    "selection",
    "source",
    "environment",
    "equal",
    "outcomes",
    "curves",
    "copies",
    "scores",
    "times",
    "cost",
    "credit",
    "diagnostics",
    "table",
)
Check = Callable[[Submission], Iterator[str]]


@dataclass(frozen=True)
class Outcome:
    """The result of one check: its name, what it checks, and the problems it found."""

    name: str
    about: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the check passed."""
        return not self.problems


def run(submission: Submission, names: Sequence[str] = NAMES) -> list[Outcome]:
    """Run the checks `names`. Those after `records` see only readable records, so each problem is reported once."""
    outcomes = []
    for name in names:
        module = import_module(f"grape_bench.publish.checks.{name}")
        about = (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        outcomes.append(Outcome(name, about, _found(module.problems, submission)))
    return outcomes


def _found(check: Check, submission: Submission) -> tuple[str, ...]:
    try:
        return tuple(check(submission))
    except ArithmeticError as error:  # such as an infinite number where no check has looked for one
        return (f"a number that cannot be computed with: {error}",)

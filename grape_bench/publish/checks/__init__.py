"""What is checked of a publication, in this order: a module each, whose `problems` yields what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from grape_bench.publish.submission import Submission

NAMES = (
    "files",
    "records",
    "identity",
    "suite",
    "numerics",
    "budgets",
    "selection",
    "source",
    "environment",
    "curves",
    "table",
)
Check = Callable[[Submission], Iterator[str]]


@dataclass(frozen=True)
class Outcome:
    """One check: its name, what it looks for, and what it found wrong."""

    name: str
    about: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


def run(submission: Submission) -> list[Outcome]:
    """Every check. Those after `records` look only at records that can be read, so that each flaw is named once."""
    outcomes = []
    for name in NAMES:
        module = import_module(f"grape_bench.publish.checks.{name}")
        about = (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        outcomes.append(Outcome(name, about, tuple(module.problems(submission))))
    return outcomes

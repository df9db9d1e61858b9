"""What a table states about the settings of its rules: what was searched, what lies at an edge, what was not searched.

A rule with a wider range, or with settings that were found by hand on the same data, has an advantage that equal
numbers of trials do not remove.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from grape_bench.plan.edge import edges
from grape_bench.plan.suite import Axis
from grape_bench.record.job import Job, canonical
from grape_bench.record.rule_name import FROZEN
from grape_bench.rules.names import RULES
from grape_bench.score.cell import Cell


def stated(cells: Iterable[Cell], names: Mapping[str, str]) -> list[str]:
    """Sentences on the settings of the rules, for the caption of their table. `names` has the label of each rule."""
    jobs = [(cell.task, cell.records[0].job) for cell in cells if cell.results]
    searched = [(task, job) for task, job in jobs if job.trials > 1 and job.rule != FROZEN]  # which has no setting
    lines = [*_searched([job for _, job in searched], names), *_at_an_edge(searched, names)]
    if by_hand := _by_hand([job for _, job in jobs], names):
        lines.append(f"Set by hand in the suite, not searched: {by_hand}.")
    return lines


def _searched(jobs: Sequence[Job], names: Mapping[str, str]) -> Iterator[str]:
    """The search space, grouped by rules that share a range. The searches read the validation split of these tasks."""
    said = [
        (f"{setting} {_range(axis)}", names[job.rule]) for job in jobs for setting, axis in (job.space or {}).items()
    ]
    if said:
        yield f"Searched on the same data (validation split): {_grouped(said, jobs, names)}."
    if unknown := [("the range is not recorded", names[job.rule]) for job in jobs if job.space is None]:
        yield f"Searched on the same data (validation split): {_grouped(unknown, jobs, names)}."


def _grouped(said: Iterable[tuple[str, str]], jobs: Iterable[Job], names: Mapping[str, str]) -> str:
    """Each text once, with the rules that it holds for: `lr 0.0001 to 0.1; feedback_lr 0 to 1 (grape)`."""
    rules: dict[str, dict[str, None]] = {}
    for text, rule in said:
        rules.setdefault(text, {})[rule] = None
    every = {names[job.rule] for job in jobs}
    return "; ".join(text if set(by) == every else f"{text} ({', '.join(by)})" for text, by in rules.items())


def _range(given: Mapping[str, Any]) -> str:
    axis = Axis.model_validate(dict(given))
    if axis.choice is not None:
        return f"one of {', '.join(map(str, axis.choice))}"
    low, high = axis.log or axis.linear or []
    return f"{low:g} to {high:g}{' (log)' if axis.log else ''}"


def _at_an_edge(jobs: Sequence[tuple[str, Job]], names: Mapping[str, str]) -> Iterator[str]:
    found = [
        f"{task} {names[job.rule]} {edge.setting} {edge.value:g}"
        for task, job in jobs
        for edge in edges(job.space or {}, {**job.optimizer, **job.rule_settings}, job.trials)
    ]
    if found:
        yield f"At the edge of the range, so a better value may lie beyond it: {', '.join(found)}."


def _by_hand(jobs: Sequence[Job], names: Mapping[str, str]) -> str:
    """The rules' own settings that differ from their defaults and were not searched."""
    said = []
    for job in jobs:
        defaults = RULES.defaults(job.rule_name.reference)
        for setting, value in job.rule_settings.items():
            if setting not in (job.space or {}) and canonical(value) != canonical(defaults.get(setting)):
                said.append((f"{setting} = {value}", names[job.rule]))
    return _grouped(said, jobs, names)

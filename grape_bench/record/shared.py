"""Which jobs of a folder share a table: one budget per task, and one set of settings per rule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grape_bench.record.job import Job, Of, canonical
from grape_bench.record.manifest import Planned

EVERY_JOB = ("model", "dataset", "trainer")  # parts of the engine that every job uses
_NEVER = Planned()


@dataclass(frozen=True)
class TableChooser:
    """Chooses the jobs of a table from when they were planned, which have results, and which a command asks for."""

    planned: Mapping[str, Planned]
    results: Collection[str]  # ids of jobs that finished or diverged
    wanted: Collection[str] = ()

    def choose(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs that share a table with the `wanted` ones, in the order of `jobs`.

        A table has one budget per task and one set of settings per rule. The order of preference is: the wanted ones,
        those of the suite without overrides, those with most results, the last planned. If jobs differ only in the
        user's code, the user's data or the engine, those planned last are chosen. For example, after `run` with 20
        epochs and `run --set task.epochs=5`:

            wanted = ()               ->  the jobs with 20 epochs, which needed no override
            wanted = (a 5-epoch job)  ->  the jobs with 5 epochs
        """
        if any(job.trial is not None for job in jobs):
            return list(jobs)  # the trials of a search differ in their settings
        chosen: set[str] = set()
        for of_task in _groups(jobs, lambda job: job.task):
            left = self._current(self._of_budget(of_task), _code)
            for of_rule in _groups(left, lambda job: job.rule_name.label):
                chosen |= {job.id for job in self._current(self._best(of_rule, _rule), _rule_code)}
        return [job for job in jobs if job.id in chosen]

    def _of_budget(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs of one budget. Open settings have no number of trials, so they join any table of their task."""
        best = self._best([job for job in jobs if not job.rule_name.is_open] or jobs, _budget)
        kept = {job.id for job in best}
        kept |= {job.id for job in jobs if job.rule_name.is_open and _task(job) == _task(best[0])}
        return [job for job in jobs if job.id in kept]

    def _best(self, jobs: Sequence[Job], key: Callable[[Job], str]) -> list[Job]:
        def merit(group: Sequence[Job]) -> tuple[bool, bool, int, int]:
            results = [job.id for job in group if job.id in self.results]
            own = any(not self._when(job).overrides for job in group)
            wanted = any(job.id in self.wanted for job in group)
            return wanted, own and bool(results), len(results), max(self._when(job).order for job in group)

        # On a tie, the last group wins: in folders without an order, later jobs were planned later.
        return max(reversed(_groups(jobs, key)), key=merit)

    def _current(self, jobs: Sequence[Job], key: Callable[[Job], Mapping[str, Any]]) -> list[Job]:
        """The jobs that agree in `key` with those planned after them. An empty value agrees with any."""
        newest: dict[str, Any] = {}
        for job in sorted(jobs, key=lambda job: (job.id in self.wanted, self._when(job).order)):
            newest |= {name: value for name, value in key(job).items() if value != ""}
        return [job for job in jobs if all(value in ("", newest.get(name)) for name, value in key(job).items())]

    def _when(self, job: Job) -> Planned:
        return self.planned.get(job.id, _NEVER)


def _budget(job: Job) -> str:
    return canonical(job.settings(Of.TASK, Of.SEARCH))


def _task(job: Job) -> str:
    return canonical(job.settings(Of.TASK))


def _rule(job: Job) -> str:
    return canonical({**job.settings(Of.RULE, Of.LAUNCH), "rule_source": ""})


def _code(job: Job) -> dict[str, Any]:
    engine = {**dict.fromkeys(EVERY_JOB, 1), **job.numerics}
    engine.pop("rule", None)
    return {"sources": canonical(job.parts(Of.SOURCE)), "data": job.data_content, **engine}


def _rule_code(job: Job) -> dict[str, Any]:
    return {
        "source": job.rule_source,
        "contents": canonical(job.rule_contents),
        "numerics": job.numerics.get("rule", 1),
    }


def _groups(jobs: Iterable[Job], key: Callable[[Job], str]) -> list[list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(key(job), []).append(job)
    return list(groups.values())

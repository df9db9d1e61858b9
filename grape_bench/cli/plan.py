"""`grape-bench plan`: what `run` would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.choices import choices_of, choosing

if TYPE_CHECKING:
    from rich.table import Table

    from grape_bench.plan.job import Job


@click.command("plan")
@choosing
def command(suite: str, out: Path, **given: Any) -> None:
    """List the jobs of SUITE: what is done and what is to do. Nothing is run or written."""
    from rich.console import Console

    from grape_bench.plan.expand import make_plan

    plan = make_plan(suite, choices_of(given))
    states = _states(plan.jobs, out / plan.suite.name)
    Console().print(_table(plan.jobs, states))
    done = sum(state in ("finished", "diverged") for state in states.values())
    if plan.track.note:
        click.echo(plan.track.note)
    click.echo(f"{len(states)} jobs: {done} done, {len(states) - done} to do ({out / plan.suite.name})")


def _states(jobs: list[Job], folder: Path) -> dict[str, str]:
    """How each job ended, or `to do`, by job id."""
    from grape_bench.execute.resume import own_record

    records = {job.id: own_record(job, folder) for job in jobs}
    return {identity: record["status"] if record else "to do" for identity, record in records.items()}


def _table(jobs: list[Job], states: dict[str, str]) -> Table:
    """A line per task and rule: how many of its seeds are in each state."""
    from collections import Counter

    from rich import box
    from rich.table import Table

    cells: dict[tuple[str, str], Counter[str]] = {}
    for job in jobs:
        cells.setdefault((job.task, job.rule), Counter())[states[job.id]] += 1
    table = Table("task", "rule", "seeds", box=box.SIMPLE_HEAD, show_edge=False)
    for (task, rule), counts in cells.items():
        table.add_row(task, rule, ", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    return table

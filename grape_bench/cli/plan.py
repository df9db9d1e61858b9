"""`grape-bench plan`: what `run` would do, and how long it would take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.overrides import choosing, overrides_of

if TYPE_CHECKING:
    from rich.table import Table

    from grape_bench.execute.duration import Durations
    from grape_bench.record.job import Job
    from grape_bench.record.record import Record


@click.command("plan")
@choosing
@click.option("--slots", type=click.IntRange(min=1), help="Jobs at once [default: one per GPU, else per core].")
@click.option("--no-profile", is_flag=True, help="Do not try out what no finished job tells the time of.")
def command(suite: str, out: Path, slots: int | None, no_profile: bool, **given: Any) -> None:
    """List the jobs of SUITE: what is done, what is to do and how long it will take. Nothing is written.

    Times come from finished jobs of the same task and rule, else of the same task; what they do not tell is found by
    training each such task and rule for a second.
    """
    from rich.console import Console

    from grape_bench.execute.duration import Durations
    from grape_bench.execute.resume import survey
    from grape_bench.execute.slots import default_slots
    from grape_bench.plan.expand import make_plan

    plan = make_plan(suite, overrides_of(given))
    folder = out / plan.suite.name
    left = survey(plan.jobs, folder, ())
    records = {record.id: record for record in left.done}
    for _, error in left.damaged:
        click.echo(f"warning: {error.where}: {error.what}; `run` sets it aside and runs the job again", err=True)
    durations = Durations()
    for record in records.values():
        durations.add(record)
    to_do = _left(plan.jobs, records)
    slots = slots or default_slots()
    if not no_profile:
        _profile([job for job in to_do if durations.of(job) is None], durations, slots)
    Console().print(_table(plan.jobs, records, durations))
    click.echo()
    if plan.tuned.note:
        click.echo(plan.tuned.note)
    sources = {estimate.source for job in plan.jobs if (estimate := durations.of(job))}
    for line in (
        *_summary(to_do, records, durations, slots),
        *(_SOURCES[each] for each in _SOURCES if each in sources),
    ):
        click.echo(line)
    click.echo(f"records: {folder}")


def _left(jobs: Sequence[Job], records: Mapping[str, Record]) -> list[Job]:
    """The jobs that `run` would run."""
    return [job for job in jobs if job.id not in records or not records[job.id].status.is_result]


def _profile(unknown: Sequence[Job], durations: Durations, slots: int) -> None:
    """Train one job of each task and rule in `unknown` for a moment."""
    from grape_bench.execute.profile import profile

    cells = list({(job.task, job.rule): job for job in unknown}.values())
    if not cells:
        return
    click.echo(
        f"trying out {len(cells)} pairs of task and rule, for which no finished job tells the time ...", err=True
    )
    for job, seconds in zip(cells, profile(cells, slots), strict=True):
        durations.add_profile(job, seconds)


def _table(jobs: Sequence[Job], records: Mapping[str, Record], durations: Durations) -> Table:
    """A line per task and rule; at most 80 columns."""
    from rich import box
    from rich.table import Table

    from grape_bench.cli.estimate import in_words
    from grape_bench.record.rule_name import RuleName
    from grape_bench.record.status import Status

    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("task", no_wrap=True, overflow="ellipsis", max_width=18)
    table.add_column("rule", no_wrap=True, overflow="ellipsis", max_width=16)
    for title in ("done", "missing", "failed"):
        table.add_column(title)
    table.add_column("each job", justify="right", no_wrap=True)
    for (task, rule), cell in _cells(jobs).items():
        statuses = Counter(records[job.id].status for job in cell if job.id in records)
        done = statuses.pop(Status.FINISHED, 0)
        also = f" +{statuses.pop(Status.DIVERGED)} diverged" if statuses[Status.DIVERGED] else ""
        failed = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()) if count)
        missing = sum(job.id not in records for job in cell)
        estimate = durations.of(cell[-1])
        each = f"{in_words(estimate.seconds)} {estimate.source[0]}" if estimate else "?"
        table.add_row(task, RuleName.parse(rule).label, f"{done}{also}", str(missing or ""), failed, each)
    return table


def _cells(jobs: Sequence[Job]) -> dict[tuple[str, str], list[Job]]:
    cells: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        cells.setdefault((job.task, job.rule), []).append(job)
    return cells


_SOURCES: dict[str, str] = {
    "measured": "m = as finished jobs of the same task and rule took",
    "scaled": "s = as another rule on the task, scaled by the step times of both",
    "profiled": "p = from a short profile",
}


def _summary(left: Sequence[Job], records: Mapping[str, Record], durations: Durations, slots: int) -> list[str]:
    """How much is to do, and how long that takes."""
    from grape_bench.cli.estimate import in_words
    from grape_bench.execute.duration import makespan

    again = sum(job.id in records for job in left)
    missing, done = len(left) - again, len(records) - again
    lines = [f"{done + len(left)} jobs: {done} done, {missing} missing, {again} failed and to be tried again"]
    estimates = [durations.of(job) for job in left]
    known = [estimate for estimate in estimates if estimate]
    if known:
        total = makespan([estimate.seconds for estimate in known], slots)
        sure = (
            "about"
            if len(known) == len(estimates)
            else f"of {len(estimates) - len(known)} nothing is known, the others"
        )
        lines.append(f"to do: {sure} {in_words(total)} on {slots} slots")
    return lines

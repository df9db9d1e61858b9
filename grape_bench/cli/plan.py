"""`grape-bench plan`: show what `run` would do, and how long it would take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.one_task import suite_of
from grape_bench.cli.overrides import choosing, overrides_of
from grape_bench.cli.say import as_json, say, say_json
from grape_bench.cli.sweep import SLOTS

if TYPE_CHECKING:
    from rich.table import Table

    from grape_bench.execute.duration import Durations
    from grape_bench.plan.expand import Plan
    from grape_bench.record.job import Job
    from grape_bench.record.record import Record


@click.command("plan")
@choosing
@SLOTS
@click.option("--no-profile", is_flag=True, help="Do not time jobs whose duration is unknown.")
@as_json
def command(slots: int | None, no_profile: bool, **given: Any) -> None:
    """List the jobs of SUITE: which are done, which are left, and how long they will take. Writes nothing.

    Without a suite, --model and --dataset describe one task, as for `run`.

    Times come from finished jobs of the same task and rule, or else of another rule on the same task. Recorded results
    count if they come from the same hardware. For any other task and rule, one job is trained for about half a second.
    """
    with suite_of(given, "plan") as suite:
        _show(suite, given, slots, profile=not no_profile)


def _show(suite: str, given: dict[str, Any], slots: int | None, *, profile: bool) -> None:
    """Print the table of jobs, and the time that they need."""
    from grape_bench.execute.duration import Durations
    from grape_bench.execute.gpus import default_slots
    from grape_bench.execute.resume import survey
    from grape_bench.plan.expand import make_plan
    from grape_bench.report.console import PlainConsole

    plan = make_plan(suite, overrides_of(given))
    folder = given["out"] / plan.suite.name
    left = survey(plan.jobs, folder, ())
    records = {record.id: record for record in left.done}
    for _, error in left.damaged:
        say(f"warning: {error.where}: {error.what}; `run` will rename it and run the job again", err=True)
    if left.note:
        say(left.note, err=True)
    durations = Durations()
    for record in (*_recorded_here(plan), *records.values()):
        durations.add(record)
    missing = _left(plan.jobs, records)
    slots = slots or default_slots()
    if profile:
        _time([job for job in missing if durations.of(job) is None], durations, slots)
    if given["json"]:
        say_json({"suite": plan.suite.name, "folder": folder, "jobs": _listed(plan.jobs, records, durations)})
        return
    PlainConsole().print(_table(plan.jobs, records, durations))
    say()
    if plan.note:
        say(plan.note)
    sources = {forecast.source for job in plan.jobs if (forecast := durations.of(job))}
    for line in (
        *_summary(missing, records, durations, slots),
        *(_SOURCES[each] for each in _SOURCES if each in sources),
        *_resolution(plan, records.values()),
    ):
        say(line)
    say(f"records: {folder}")


def _recorded_here(plan: Plan) -> Iterator[Record]:
    """The recorded results of these jobs from this machine's hardware class. Their durations apply here too."""
    from grape_bench.publish.baselines import baseline_records
    from grape_bench.record.environment import hardware

    here, ids = hardware(1).kind, {job.id for job in plan.jobs}
    for record in baseline_records(plan.suite.name, plan.suite.version):
        if record.id in ids and record.environment.hardware.kind == here:
            yield record


def _listed(jobs: Sequence[Job], records: Mapping[str, Record], durations: Durations) -> list[dict[str, Any]]:
    """The jobs for `--json`. A job without a record has no status, and `seconds` may be unknown."""
    return [
        {
            **{name: getattr(job, name) for name in ("id", "task", "rule", "seed")},
            "status": str(records[job.id].status) if job.id in records else None,
            "seconds": forecast.seconds if (forecast := durations.of(job)) else None,
        }
        for job in jobs
    ]


def _left(jobs: Sequence[Job], records: Mapping[str, Record]) -> list[Job]:
    """Return the jobs that `run` would run."""
    return [job for job in jobs if job.id not in records or not records[job.id].status.is_result]


def _time(unknown: Sequence[Job], durations: Durations, slots: int) -> None:
    """Train one job of each task and rule in `unknown` briefly, to learn its duration."""
    from grape_bench.execute.duration import time_jobs

    cells = list({(job.task, job.rule): job for job in unknown}.values())
    if not cells:
        return
    say(f"timing {_count(len(cells), 'pair')} of task and rule that no finished job gives a duration for ...", err=True)
    for job, seconds in zip(cells, time_jobs(cells, slots), strict=True):
        durations.add_timing(job, seconds)


def _table(jobs: Sequence[Job], records: Mapping[str, Record], durations: Durations) -> Table:
    """Return a table with a row per task and rule, at most 80 columns wide."""
    from rich import box
    from rich.table import Table

    from grape_bench.cli.duration import in_words
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
        forecast = durations.of(cell[-1])
        each = f"{in_words(forecast.seconds)} {forecast.source[0]}" if forecast else "?"
        table.add_row(task, RuleName.parse(rule).label, f"{done}{also}", str(missing or ""), failed, each)
    return table


def _cells(jobs: Sequence[Job]) -> dict[tuple[str, str], list[Job]]:
    cells: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        cells.setdefault((job.task, job.rule), []).append(job)
    return cells


_SOURCES: dict[str, str] = {
    "measured": "m = measured: mean of finished or recorded jobs of the same task and rule",
    "scaled": "s = scaled: another rule on the same task, times the ratio of their step times",
    "profiled": "p = profiled: from timing a few steps",
}


def _resolution(plan: Plan, done: Iterable[Record]) -> Iterator[str]:
    """Yield lines on the differences that the planned seeds can detect, from the spread of known results."""
    from grape_bench.publish.baselines import baseline_records
    from grape_bench.score.resolution import planned

    recorded = baseline_records(plan.suite.name, plan.suite.version)
    known = {record.id: record for record in (*recorded, *done)}
    same = [record for record in known.values() if record.job.version == plan.suite.version]
    seeds: dict[str, set[int]] = {}
    for job in plan.jobs:
        seeds.setdefault(job.task, set()).add(job.seed)
    return planned({task: len(each) for task, each in seeds.items()}, same)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _summary(left: Sequence[Job], records: Mapping[str, Record], durations: Durations, slots: int) -> list[str]:
    """Return the number of jobs that are left, and the time they need."""
    from grape_bench.cli.duration import in_words
    from grape_bench.execute.duration import makespan

    again = sum(job.id in records for job in left)
    missing, done = len(left) - again, len(records) - again
    lines = [f"{done + len(left)} jobs: {done} done, {missing} missing, {again} failed (to retry)"]
    known = [forecast for job in left if (forecast := durations.of(job))]
    if known:
        total = in_words(makespan([forecast.seconds for forecast in known], slots))
        unknown = len(left) - len(known)
        note = f", plus {_count(unknown, 'job')} of unknown duration" if unknown else ""
        lines.append(f"time left: about {total} on {_count(slots, 'slot')}{note}")
    return lines

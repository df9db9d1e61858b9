"""`grape-bench tune`: search each rule's settings with the same number of trials, and keep the best."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.overrides import overrides_of, searching
from grape_bench.cli.say import say
from grape_bench.cli.sweep import executing, request_of, sharding, sweep
from grape_bench.cli.tracking import mirror_of, say_where, tracking
from grape_bench.track.uri import NONE

if TYPE_CHECKING:
    from rich.table import Table

    from grape_bench.plan.suite import Suite
    from grape_bench.plan.tuned import TunedRule
    from grape_bench.record.record import Record

CURVE = "best_of_k.csv"
SHOWN = (1, 2, 4, 8, 16, 32)  # the values of k that fit a terminal


@click.command("tune")
@searching
@executing
@sharding
@click.option(
    "--settings",
    "target",
    type=click.Path(path_type=Path),
    default=Path("baselines"),
    show_default=True,
    help="Folder for the chosen settings: SETTINGS/SUITE. `run` reads ./baselines.",
)
@tracking("Store to copy the trials to, as for `run`, or none.", default=NONE)
def command(**given: Any) -> None:
    """Search settings for every rule and task of SUITE. The [tuning] table sets the number of trials for each.

    The best trial on the validation split is kept, and the test split is not read. Trials go to OUT/SUITE/tuning, and
    finished trials are not repeated.
    """
    from grape_bench.cli.failures import failures
    from grape_bench.plan.expand import make_tuning_plan
    from grape_bench.record.status import Status
    from grape_bench.report.settings import complete

    plan = make_tuning_plan(given["suite"], overrides_of(given))
    request = request_of(plan, given["out"] / plan.suite.name / "tuning", given)
    mirror = mirror_of(given["tracking_uri"])
    records = sweep(request, mirror)
    for line in failures([record for record in records if record.status is not Status.DIVERGED], request.folder):
        say(line, err=True)
    say_where(request.folder, mirror)
    if given["shard"]:
        parts = request.folder.parent / "tuning.shard-*"
        say(f"when all shards are done: grape-bench merge {parts}, then this command without --shard")
        sys.exit(0 if complete(records) else 1)
    searches = {job.rule: [record for record in records if record.rule == job.rule] for job in plan.jobs}
    whole = {rule: trials for rule, trials in searches.items() if complete(trials)}
    if whole:
        _write(plan.suite, list(whole.values()), given["target"] / plan.suite.name)
    for rule in searches.keys() - whole.keys():
        say(f"{rule}: no settings written, because some trials have no result", err=True)
    sys.exit(0 if whole.keys() == searches.keys() else 1)


def _write(suite: Suite, searches: list[list[Record]], folder: Path) -> None:
    """Save each rule's settings, update the best-of-k file, and print the outcome."""
    from grape_bench.plan.tuned import read_tuned
    from grape_bench.report import csv, settings
    from grape_bench.report.console import PlainConsole

    found = [settings.chosen(suite, trials) for trials in searches]
    for tuned in found:
        settings.write(tuned, folder)
    csv.write(settings.best_of_k(map(read_tuned, sorted(folder.glob("*.json")))), folder / CURVE)
    PlainConsole().print(_table(found))
    for line in _at_an_edge(found):
        say(line, err=True)
    say(f"settings  {folder}/*.json")
    say(f"best of k {folder}/{CURVE}")


def _at_an_edge(found: list[TunedRule]) -> Iterator[str]:
    """Yield a warning for each chosen setting near an end of its range, with a wider range to search."""
    from grape_bench.plan.edge import edges

    for tuned in found:
        space = {name: axis.model_dump(exclude_none=True) for name, axis in tuned.space.items()}
        for task, choice in tuned.tasks.items():
            for edge in edges(space, choice.settings, tuned.trials):
                yield (
                    f"warning: {task} {tuned.rule}: {edge.text} is at the edge, so a better value may lie beyond it;"
                    f" to widen it, in [tuning]: space = {{ {edge.wider} }}"
                )


def _table(found: list[TunedRule]) -> Table:
    """One row per task and rule: the chosen settings, and the expected best of k trials for several k."""
    from rich import box
    from rich.table import Table

    from grape_bench.report.settings import curve
    from grape_bench.score.metric import METRICS

    trials = found[0].trials
    shown = [k for k in SHOWN if k < trials] + [trials]
    title = f"Expected best of k of {trials} trials, on the validation split"
    table = Table("task", "rule", "chosen", *(f"k = {k}" for k in shown), box=box.SIMPLE_HEAD, title=title)
    for task in dict.fromkeys(task for tuned in found for task in tuned.tasks):
        for tuned in (one for one in found if task in one.tasks):
            best = tuned.tasks[task]
            expected = curve(best)
            settings = " ".join(f"{name} {value}" for name, value in best.settings.items())
            form = ".1f" if best.metric == "accuracy" else METRICS[best.metric].format
            table.add_row(task, tuned.rule, settings, *(f"{expected[k - 1]:{form}}" for k in shown))
    return table

"""`grape-bench run`: run a suite and print its table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.lite import lite
from grape_bench.cli.one_task import suite_of
from grape_bench.cli.overrides import choosing, overrides_of
from grape_bench.cli.say import say
from grape_bench.cli.sweep import executing, request_of, sharding, sweep
from grape_bench.cli.tracking import mirror_of, say_where, tracking
from grape_bench.cli.until_resolved import until_resolved
from grape_bench.errors import UserError

if TYPE_CHECKING:
    from grape_bench.plan.expand import Plan
    from grape_bench.track.mirror import Mirror


@click.command("run")
@choosing
@executing
@sharding
@tracking("Store to copy records to: an MLflow URI, tensorboard:DIR, file.py:MyStore, or none.")
@click.option("--until-resolved", is_flag=True, help="Add seeds until every word on the rules under test is settled.")
@click.option("--max-seeds", type=int, default=10, show_default=True, metavar="N", help="Limit for --until-resolved.")
def command(**given: Any) -> None:
    """Run SUITE (a name or a .toml file). Jobs that are already done do not run again.

    Without a suite, --model and --dataset describe one task. Its suite file is written next to the results:

      grape-bench run --model timm:resnet18 --dataset cifar10 --rule bp --rule dfa --epochs 5

    With --lite, one seed of the --rule and --only rules runs on the tasks that every rule may run. The table shows it
    beside the suite's recorded results, which do not run again:

      grape-bench run core --lite --rule my_rule.py:MyRule

    With --open, the suite's open settings also run: better settings from anyone, found with any number of trials. Their
    rows, such as bp:open, come below the rules and are not ranked.

    With --until-resolved, seeds are added to all rules until the --rule rules (or all but the references) are settled
    against BP, DFA and the control. The looks are planned before the first seed, and every test is corrected for all
    of them.

    Exit codes: 0 if all jobs finished; 1 if a job crashed, ran out of memory, or hit the time limit; 2 for a mistake
    in the arguments, or if a job diverged.
    """
    _refuse_part(given)
    with suite_of(given, "run") as suite:
        sys.exit(lite(suite, given) if given["lite"] else _run(suite, given))


def _refuse_part(given: dict[str, Any]) -> None:
    """Raise UserError if the command needs the records of all jobs, and would run only some of them."""
    for option in ("lite", "until_resolved"):
        if given["shard"] and given[option]:
            name = f"--{option.replace('_', '-')}"
            raise UserError(
                f"{name} needs the records of all jobs, and --shard {given['shard']} runs only some of them",
                where=f"run {name}",
                hint="leave out --shard; --executor slurm and --executor ray share all jobs among machines",
            )


def _run(suite: str, given: dict[str, Any]) -> int:
    """Run the suite, print its table, and return the exit code."""
    from grape_bench.cli.failures import exit_code, failures
    from grape_bench.plan.expand import make_plan

    plan = make_plan(suite, overrides_of(given))
    mirror = mirror_of(given["tracking_uri"])
    if plan.note:
        say(plan.note)
    if given["until_resolved"]:
        plan, request, records = until_resolved(suite, plan, given, mirror)
    else:
        request = request_of(plan, given["out"] / plan.suite.name, given)
        records = sweep(request, mirror)
    _table(plan, request.folder)
    for line in failures(records, request.folder):
        say(line, err=True)
    if not given["suite"]:
        say(f"suite    {request.folder}/suite.toml")
    _places(request.folder, mirror)
    return exit_code(records)


def _table(plan: Plan, folder: Path) -> None:
    """Print the table for the command's settings, and write the folder's table to table.csv and table.md.

    Both include records of earlier commands that may share the table. The two differ if the command overrides settings:
    the folder's table keeps the suite's own settings.
    """
    from grape_bench.record.folder import read_folder
    from grape_bench.record.manifest import options
    from grape_bench.record.write import write_text
    from grape_bench.report import csv, markdown, terminal
    from grape_bench.report.console import PlainConsole
    from grape_bench.score.table import score

    ids = {job.id for job in plan.jobs}
    recorded = read_folder(folder)
    own, main = recorded.found(ids), recorded.found()
    table = score(main.records)
    csv.write_scores(table, folder)
    write_text(folder / "table.md", markdown.render(table))
    console = PlainConsole()
    console.print()
    console.print(terminal.render(score(own.records)))
    also = sum(record.id not in ids for record in own.records)
    if also:
        chosen = " ".join(plan.filters) or "this command"
        say(f"filter   {chosen} has {len(own.records) - also} of these {len(own.records)} jobs")
    if own.records != main.records:
        changes = options(plan.overrides) or "this command's settings"
        say(f"above    the table of {changes}; table.csv and `report` keep that of the folder's other records")
    elif main.note:
        say(f"also     {main.note}")


def _places(folder: Path, mirror: Mirror | None) -> None:
    say(f"records  {folder}/*/record.json")
    say(f"table    {folder}/table.csv, {folder}/table.md")
    say_where(folder, mirror)

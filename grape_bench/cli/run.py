"""`grape-bench run`: run a suite and print its table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grape_bench.cli.one_task import suite_of
from grape_bench.cli.overrides import choosing, overrides_of
from grape_bench.cli.sweep import executing, request_of, sweep
from grape_bench.cli.tracking import mirror_of, say_where, tracking

if TYPE_CHECKING:
    from grape_bench.record.record import Record
    from grape_bench.track.mirror import Mirror


@click.command("run")
@choosing
@executing
@tracking("MLflow store to copy records to, or none.")
def command(**given: Any) -> None:
    """Run SUITE (a name or a .toml file). Jobs that are already done do not run again.

    Without a suite, --model and --dataset describe one task. Its suite file is written next to the results:

      grape-bench run --model timm:resnet18 --dataset cifar10 --rule bp --rule dfa --epochs 5

    Exit codes: 0 if all jobs finished; 1 if a job crashed, ran out of memory, or hit the time limit; 2 for a mistake
    in the arguments, or if a job diverged.
    """
    with suite_of(given, "run") as suite:
        sys.exit(_run(suite, given))


def _run(suite: str, given: dict[str, Any]) -> int:
    """Run the suite, print its table, and return the exit code."""
    from grape_bench.cli.failures import exit_code, failures
    from grape_bench.plan.expand import make_plan

    plan = make_plan(suite, overrides_of(given))
    request = request_of(plan, given["out"] / plan.suite.name, given)
    mirror = mirror_of(given["tracking_uri"])
    if plan.tuned.note:
        click.echo(plan.tuned.note)
    records = sweep(request, mirror)
    _table(records, request.folder)
    for line in failures(records, request.folder):
        click.echo(line, err=True)
    if not given["suite"]:
        click.echo(f"suite    {request.folder}/suite.toml")
    _places(request.folder, mirror)
    return exit_code(records)


def _table(records: list[Record], folder: Path) -> None:
    """Print the table, and write it to table.csv and table.md."""
    from rich.console import Console

    from grape_bench.record.write import write_text
    from grape_bench.report import csv, markdown, terminal
    from grape_bench.score.table import score

    table = score(records)
    csv.write(table, folder / "table.csv")
    write_text(folder / "table.md", markdown.render(table))
    console = Console()
    console.print()
    console.print(terminal.render(table))


def _places(folder: Path, mirror: Mirror | None) -> None:
    click.echo(f"records  {folder}/*/record.json")
    click.echo(f"table    {folder}/table.csv, {folder}/table.md")
    say_where(folder, mirror)

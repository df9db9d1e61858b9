"""`grape-bench run`: run a suite, print its table."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from grape_bench.cli.choices import choosing

if TYPE_CHECKING:
    from grape_bench.execute.sweep import Request
    from grape_bench.track.mirror import Mirror

TRACKING_URI = "sqlite:///mlflow.db"


class Terminated(KeyboardInterrupt):
    """SIGTERM: the same orderly end as Ctrl-C, with an exit code of its own."""


@click.command("run")
@choosing
@click.option("--slots", type=click.IntRange(min=1), help="Jobs at once [default: one per GPU, else per core].")
@click.option("--executor", default="local", show_default=True, help="Where the jobs run.")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Seconds per job.")
@click.option(
    "--tracking-uri",
    default=TRACKING_URI,
    show_default=True,
    metavar="URI",
    help="MLflow store that records are copied to, or none.",
)
@click.option("--fresh", is_flag=True, help="Run every job again, also those that are done.")
def command(**given: Any) -> None:
    """Run SUITE (a name, or a .toml file); jobs that are done already are not run again.

    Exit code 0: all jobs finished; 1: a job crashed, ran out of memory or time; 2: a mistake in what was
    asked for, or a loss that was not finite.
    """
    from grape_bench.cli.failures import exit_code, failures
    from grape_bench.execute.sweep import run_sweep

    request, mirror = _request(given), _mirror(given["tracking_uri"])
    signal.signal(signal.SIGTERM, _terminate)
    try:
        records = run_sweep(request, _display(), mirror)
    except KeyboardInterrupt as stop:
        _stopped(request, stop)
    _table(records, request.folder)
    for line in failures(records, request.folder):
        click.echo(line, err=True)
    _places(request.folder, mirror)
    sys.exit(exit_code(records))


def _request(given: dict[str, Any]) -> Request:
    from grape_bench.execute.executor import EXECUTORS, Options
    from grape_bench.execute.sweep import Request
    from grape_bench.plan.choices import Choices
    from grape_bench.plan.expand import make_plan

    EXECUTORS.get(given["executor"])
    choices = Choices(given["rules"], given["only"], given["seeds"], given["settings"])
    plan = make_plan(given["suite"], choices)
    options = Options(slots=given["slots"], time_limit_s=given["time_limit"])
    return Request(plan, given["out"] / plan.suite.name, given["executor"], options, given["fresh"])


def _mirror(uri: str) -> Mirror | None:
    from grape_bench.track.mirror import Mirror
    from grape_bench.track.mlflow import MlflowStore

    return None if uri == "none" else Mirror(uri, MlflowStore)


def _display() -> Any:
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        from grape_bench.cli.live import Live

        return Live(console)
    from grape_bench.cli.plain import Plain

    return Plain()


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _stopped(request: Request, stop: KeyboardInterrupt) -> NoReturn:
    from grape_bench.execute.resume import split

    done = len(split(request.plan.jobs, request.folder)[0])
    click.echo(f"stopped: {done} of {len(request.plan.jobs)} jobs are done, none is left running.", err=True)
    click.echo("The same command (without --fresh) continues from here.", err=True)
    sys.exit(128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT))


def _table(records: list[dict[str, Any]], folder: Path) -> None:
    """Print the table; write table.csv and table.md."""
    from rich.console import Console

    from grape_bench.report import csv, markdown, terminal
    from grape_bench.report.atomic import write_text
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
    if mirror and mirror.warning:
        click.echo(f"warning: MLflow has not got every job ({mirror.warning}); the records are complete.", err=True)
    elif mirror and mirror.uri.startswith("http"):
        click.echo(f"MLflow   {mirror.uri}")
    elif mirror:
        click.echo(f"MLflow   mlflow ui --backend-store-uri {mirror.uri}")

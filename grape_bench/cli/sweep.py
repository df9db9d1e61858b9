"""What `run` and `tune` have in common: how jobs are run, shown, mirrored and stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from grape_bench.execute.sweep import Request
    from grape_bench.plan.cluster import Cluster
    from grape_bench.plan.expand import Plan
    from grape_bench.track.mirror import Mirror
    from grape_bench.track.record import Record

_OPTIONS = (
    click.option("--slots", type=click.IntRange(min=1), help="Jobs at once [default: one per GPU, else per core]."),
    click.option("--executor", default="local", show_default=True, help="Where the jobs run."),
    click.option("--shard", metavar="I/N", help="Only part I of N of the jobs; `grape-bench merge` joins the parts."),
    click.option("--cluster", type=click.Path(path_type=Path), metavar="FILE", help="What a job asks of a cluster."),
    click.option("--array-parallelism", type=click.IntRange(min=1), metavar="N", help="Jobs at once on Slurm."),
    click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Seconds per job."),
    click.option("--fresh", is_flag=True, help="Run every job again, also those that are done."),
)


class Terminated(KeyboardInterrupt):
    """SIGTERM: the same orderly end as Ctrl-C, with an exit code of its own."""


def executing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameters of `request_of`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def request_of(plan: Plan, folder: Path, given: dict[str, Any]) -> Request:
    """`plan` run into `folder`, as the values of these parameters say."""
    from grape_bench.execute.executor import EXECUTORS, Options
    from grape_bench.execute.sweep import Request
    from grape_bench.plan.shard import Shard

    EXECUTORS.get(given["executor"])
    if given["shard"]:
        shard = Shard.parse(given["shard"])
        plan, folder = replace(plan, jobs=shard.of(plan.jobs)), folder.with_name(shard.folder(folder.name))
    cluster = _cluster(plan.suite.cluster, given["cluster"], given["array_parallelism"])
    options = Options(slots=given["slots"], time_limit_s=given["time_limit"], cluster=cluster)
    return Request(plan, folder, given["executor"], options, given["fresh"])


def _cluster(suite: Cluster, file: Path | None, at_once: int | None) -> Cluster:
    """What the suite asks for, with the file's settings and then the command line's in their place."""
    from grape_bench.plan.cluster import Cluster, Slurm
    from grape_bench.plan.read import read_cluster

    asked = suite.updated(read_cluster(file)) if file else suite
    return asked.updated(Cluster(slurm=Slurm(array_parallelism=at_once))) if at_once else asked


def mirror_of(uri: str) -> Mirror | None:
    """The MLflow store `uri`; None for `none`."""
    from grape_bench.track.mirror import Mirror
    from grape_bench.track.mlflow import MlflowStore

    return None if uri == "none" else Mirror(uri, MlflowStore)


def sweep(request: Request, mirror: Mirror | None) -> list[Record]:
    """Run what is not done, with its progress on the screen; Ctrl-C and SIGTERM end the command in order."""
    from grape_bench.execute.sweep import run_sweep

    signal.signal(signal.SIGTERM, _terminate)
    try:
        return run_sweep(request, _display(), mirror)
    except KeyboardInterrupt as stop:
        _stopped(request, stop)


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

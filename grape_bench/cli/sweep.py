"""What `run` and `tune` have in common: how jobs are run, shown, mirrored and stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from grape_bench.cli.stopping import Stopped, raise_when_stopped

if TYPE_CHECKING:
    from grape_bench.execute.executor import Options
    from grape_bench.execute.sweep import Request
    from grape_bench.plan.expand import Plan
    from grape_bench.plan.suite import Cluster
    from grape_bench.record.record import Record
    from grape_bench.record.status import Status
    from grape_bench.track.mirror import Mirror

_OPTIONS = (
    click.option("--slots", type=click.IntRange(min=1), help="Jobs at once [default: one per GPU, else per core]."),
    click.option("--executor", default="local", show_default=True, help="Where the jobs run."),
    click.option("--shard", metavar="I/N", help="Only part I of N of the jobs; `grape-bench merge` joins the parts."),
    click.option("--cluster", type=click.Path(path_type=Path), metavar="FILE", help="What a job asks of a cluster."),
    click.option("--array-parallelism", type=click.IntRange(min=1), metavar="N", help="Jobs at once on Slurm."),
    click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Seconds per job."),
    click.option("--memory-limit", metavar="SIZE", help="Memory per job, such as 2GiB."),
    click.option(
        "--checkpoint-every",
        default="60s",
        show_default=True,
        metavar="PERIOD",
        help="How often a job's state is saved: 5min, 2epochs, never.",
    ),
    click.option(
        "--retry",
        default="crashed,oom,timeout",
        show_default=True,
        metavar="STATUSES",
        help="Which failed jobs are run again; none for none.",
    ),
    click.option("--fresh", is_flag=True, help="Run every job again, also those that are done."),
)


def executing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the parameters of `_OPTIONS`; Ctrl-C and SIGTERM end it in order, whenever they come."""

    @wraps(command)
    def stoppable(**given: Any) -> None:
        raise_when_stopped()
        try:
            command(**given)
        except Stopped as stop:
            click.echo("stopped while no job was running; the same command continues from here.", err=True)
            sys.exit(stop.exit_code)

    decorated: Callable[..., Any] = stoppable
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def request_of(plan: Plan, folder: Path, given: dict[str, Any]) -> Request:
    """`plan` run into `folder`, as the values of these parameters say."""
    from grape_bench.execute.executor import EXECUTORS
    from grape_bench.execute.sweep import Request
    from grape_bench.plan.shard import Shard

    EXECUTORS.get(given["executor"])
    if given["shard"]:
        shard = Shard.parse(given["shard"])
        plan, folder = replace(plan, jobs=shard.of(plan.jobs)), folder.with_name(shard.folder(folder.name))
    options = _options(given, plan.suite.cluster)
    return Request(plan, folder, given["executor"], options, given["fresh"], _statuses(given["retry"]))


def _options(given: dict[str, Any], suite: Cluster) -> Options:
    from grape_bench.execute.executor import Options
    from grape_bench.execute.memory_size import parse_bytes
    from grape_bench.train.checkpoint_files import Period

    limit = given["memory_limit"]
    return Options(
        slots=given["slots"],
        time_limit_s=given["time_limit"],
        memory_limit=None if limit is None else parse_bytes(limit, where="--memory-limit"),
        checkpoint_every=Period.parse(given["checkpoint_every"], where="--checkpoint-every"),
        cluster=_cluster(suite, given["cluster"], given["array_parallelism"]),
    )


def _statuses(text: str) -> tuple[Status, ...]:
    """The statuses in `crashed,oom`; raises UserError."""
    from grape_bench.errors import unknown
    from grape_bench.record.status import FAILED, Status

    names = () if text == "none" else tuple(text.split(","))
    for name in names:
        if name not in FAILED:
            raise unknown("status", name, (*(status.value for status in FAILED), "none"), where="--retry")
    return tuple(map(Status, names))


def _cluster(suite: Cluster, file: Path | None, at_once: int | None) -> Cluster:
    """What the suite asks for, with the file's settings and then the command line's in their place."""
    from grape_bench.plan.read import read_cluster
    from grape_bench.plan.suite import Cluster, Slurm

    asked = suite.updated(read_cluster(file)) if file else suite
    return asked.updated(Cluster(slurm=Slurm(array_parallelism=at_once))) if at_once else asked


def mirror_of(uri: str) -> Mirror | None:
    """The MLflow store `uri`; None for `none`."""
    from grape_bench.track.mirror import Mirror
    from grape_bench.track.mlflow import MlflowStore

    return None if uri == "none" else Mirror(uri, MlflowStore)


def sweep(request: Request, mirror: Mirror | None) -> list[Record]:
    """Run what is not done, with its progress on the screen; when stopped, tell how far it got, and exit."""
    from grape_bench.execute.sweep import run_sweep

    try:
        return run_sweep(request, _display(), mirror)
    except Stopped as stop:
        _tell_and_exit(request, stop)


def _display() -> Any:
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        from grape_bench.cli.live import Live

        return Live(console)
    from grape_bench.cli.plain import Plain

    return Plain()


def _tell_and_exit(request: Request, stop: Stopped) -> NoReturn:
    from grape_bench.execute.resume import survey

    done = len(survey(request.plan.jobs, request.folder, request.retry).done)
    click.echo(f"stopped: {done} of {len(request.plan.jobs)} jobs are done, none is left running.", err=True)
    click.echo("The same command (without --fresh) continues from here.", err=True)
    sys.exit(stop.exit_code)

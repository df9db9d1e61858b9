"""What `run`, `tune` and `compare` share: options for running jobs, progress, the MLflow mirror, and stopping."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from grape_bench.cli.say import say
from grape_bench.cli.stopping import Stopped, stoppable

if TYPE_CHECKING:
    from grape_bench.execute.executor import Display, Options
    from grape_bench.execute.sweep import Request
    from grape_bench.plan.expand import Plan
    from grape_bench.plan.suite import Cluster
    from grape_bench.record.record import Record
    from grape_bench.record.status import Status
    from grape_bench.track.mirror import Mirror

OWN_PROCESS = object()
"""The click context's `obj` when the process ends with the command, as the installed `grape-bench` does."""
SLOTS = click.option("--slots", type=click.IntRange(min=1), help="Jobs at once [default: one per GPU, else per core].")
_OPTIONS = (
    SLOTS,
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        metavar="N",
        help="CPU threads per job [default: as in finished jobs, or else a share of the cores].",
    ),
    click.option("--executor", default="local", show_default=True, help="Where the jobs run."),
    click.option(
        "--cluster",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="TOML file of cluster settings.",
    ),
    click.option("--array-parallelism", type=click.IntRange(min=1), metavar="N", help="Jobs at once on Slurm."),
    click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Seconds per job."),
    click.option("--memory-limit", metavar="SIZE", help="Memory limit per job, such as 2GiB."),
    click.option(
        "--checkpoint-every",
        default="60s",
        show_default=True,
        metavar="PERIOD",
        help="How often to save a checkpoint: 5min, 2epochs, never.",
    ),
    click.option(
        "--retry",
        default="crashed,oom,timeout",
        show_default=True,
        metavar="STATUSES",
        help="Run failed jobs with these statuses again, or none.",
    ),
    click.option("--fresh", is_flag=True, help="Run every job again, including finished ones."),
)


sharding = click.option("--shard", metavar="I/N", help="Run only part I of N of the jobs; see `grape-bench merge`.")
"""Add the option `--shard` to a command that can leave jobs out: one that needs no record of theirs."""


def executing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for running jobs to `command`. Ctrl-C and SIGTERM stop it cleanly at any moment."""

    @wraps(command)
    def with_signals(**given: Any) -> None:
        with stoppable(restore=click.get_current_context().obj is not OWN_PROCESS):
            try:
                command(**given)
            except Stopped as stop:
                say("stopped while no job was running; run the same command again to resume.", err=True)
                sys.exit(stop.exit_code)

    decorated: Callable[..., Any] = with_signals
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def request_of(plan: Plan, folder: Path, given: dict[str, Any]) -> Request:
    """Return the request to run `plan` into `folder`, from the values of these options."""
    from grape_bench.execute.executor import EXECUTORS
    from grape_bench.execute.sweep import Request
    from grape_bench.plan.shard import Shard

    EXECUTORS.get(given["executor"])
    if given.get("shard"):
        shard = Shard.parse(given["shard"])
        plan, folder = replace(plan, jobs=shard.of(plan.jobs)), folder.with_name(shard.folder(folder.name))
    options = _options(given, plan.suite.cluster)
    return Request(plan, folder, given["executor"], options, given["fresh"], _statuses(given["retry"]))


def _options(given: dict[str, Any], suite: Cluster) -> Options:
    from grape_bench.execute.executor import Options
    from grape_bench.train.checkpoint_files import Period

    limit = given["memory_limit"]
    return Options(
        slots=given["slots"],
        threads=given["threads"],
        time_limit_s=given["time_limit"],
        memory_limit=None if limit is None else parse_bytes(limit, where="--memory-limit"),
        checkpoint_every=Period.parse(given["checkpoint_every"], where="--checkpoint-every"),
        cluster=_cluster(suite, given["cluster"], given["array_parallelism"]),
    )


_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_FORM = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)")


def parse_bytes(text: str, *, where: str = "") -> int:
    """Return the bytes of a size such as `800MB` or `2.5 GiB`. Raises UserError."""
    from grape_bench.errors import UserError

    match = _FORM.fullmatch(text)
    if match is None or match[2] not in _UNITS or float(match[1]) == 0:
        raise UserError(f"{text!r} is not an amount of memory", where=where, allowed="such as 800MB, 2GB, 2.5GiB")
    return round(float(match[1]) * _UNITS[match[2]])


def _statuses(text: str) -> tuple[Status, ...]:
    """Parse statuses such as `crashed,oom`. Raises UserError."""
    from grape_bench.errors import unknown
    from grape_bench.record.status import FAILED, Status

    names = () if text == "none" else tuple(text.split(","))
    for name in names:
        if name not in FAILED:
            raise unknown("status", name, (*(status.value for status in FAILED), "none"), where="--retry")
    return tuple(map(Status, names))


def _cluster(suite: Cluster, file: Path | None, at_once: int | None) -> Cluster:
    """Return the suite's cluster settings. The file overrides them, and the command line overrides both."""
    from grape_bench.plan.read import read_cluster
    from grape_bench.plan.suite import Cluster, Slurm

    asked = suite.updated(read_cluster(file)) if file else suite
    return asked.updated(Cluster(slurm=Slurm(array_parallelism=at_once))) if at_once else asked


def sweep(request: Request, mirror: Mirror | None) -> list[Record]:
    """Run the unfinished jobs and show their progress. If stopped, print how far it got, and exit."""
    from grape_bench.execute.sweep import run_sweep

    try:
        return run_sweep(request, display(), mirror)
    except Stopped as stop:
        _exit_stopped(request, stop)


def display() -> Display:
    """Return a display that updates in place in a terminal or notebook, and prints a line per job elsewhere."""
    from grape_bench.report.console import PlainConsole

    console = PlainConsole()
    if console.is_terminal:
        from grape_bench.cli.display import Live

        return Live(console)
    if console.is_jupyter:
        from grape_bench.cli.notebook import Notebook

        return Notebook()
    from grape_bench.cli.display import Plain

    return Plain()


def _exit_stopped(request: Request, stop: Stopped) -> NoReturn:
    from grape_bench.execute.resume import survey

    done = len(survey(request.plan.jobs, request.folder, request.retry).done)
    say(f"stopped: {done} of {len(request.plan.jobs)} jobs are done, and no job is still running.", err=True)
    say("Run the same command again (without --fresh) to resume.", err=True)
    sys.exit(stop.exit_code)

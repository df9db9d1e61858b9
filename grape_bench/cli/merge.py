"""`grape-bench merge`: merge the folders of shards into one."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from grape_bench.cli.say import amount, say
from grape_bench.errors import UserError


@click.command("merge")
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), help="Output folder [default: SUITE, next to the shards].")
def command(shards: tuple[Path, ...], into: Path | None) -> None:
    """Merge SHARDS (such as runs/quickstart.shard-*). Conflicting folders are refused before anything is written."""
    from grape_bench.execute.merge import merge
    from grape_bench.execute.resume import survey

    target = into or _target(shards)
    jobs = merge(shards, target).jobs
    left = survey(jobs, target)
    say(f"{len(left.done)} of {len(jobs)} jobs are done in {target}")
    if left.pending:
        command = f"grape-bench run {jobs[0].suite} --out {target.parent}"
        say(f"{amount(len(left.pending), 'job')} still to run: {command}")
    say(f"next: grape-bench report {shlex.quote(str(target))}")


def _target(shards: tuple[Path, ...]) -> Path:
    from grape_bench.plan.shard import whole

    names = {whole(shard.name) for shard in shards}
    name = names.pop()
    if names or name is None:
        raise UserError("cannot tell the output folder from the names of the shards", hint="--into runs/SUITE")
    return shards[0].parent / name

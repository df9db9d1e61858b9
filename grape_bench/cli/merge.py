"""`grape-bench merge`: the folders of shards as one."""

from __future__ import annotations

from pathlib import Path

import click

from grape_bench.errors import UserError


@click.command("merge")
@click.argument("shards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), help="Folder to write to [default: runs/SUITE beside them].")
def command(shards: tuple[Path, ...], into: Path | None) -> None:
    """Put SHARDS (such as runs/quickstart.shard-*) together; conflicts are refused before anything is written."""
    from grape_bench.execute.merge import merge
    from grape_bench.execute.resume import survey

    target = into or _whole(shards)
    jobs = merge(shards, target).jobs
    left = survey(jobs, target)
    click.echo(f"{len(left.done)} of {len(jobs)} jobs are done in {target}")
    if left.pending:
        click.echo(f"{len(left.pending)} are still to run: grape-bench run {jobs[0].suite} --out {target.parent}")
    click.echo(f"next: grape-bench report {target}")


def _whole(shards: tuple[Path, ...]) -> Path:
    from grape_bench.plan.shard import whole

    names = {whole(shard.name) for shard in shards}
    name = names.pop()
    if names or name is None:
        raise UserError("the folders' names do not tell where to put the whole", hint="--into runs/SUITE")
    return shards[0].parent / name

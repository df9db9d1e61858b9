"""`grape-bench data`: prepare data sets for machines without a network."""

from __future__ import annotations

import os
from pathlib import Path

import click

from grape_bench.cli.say import say
from grape_bench.errors import UserError


@click.group("data")
def command() -> None:
    """Fetch data sets ahead of time."""


@command.command("prepare")
@click.argument("names", nargs=-1, required=True)
@click.option("--to", type=click.Path(path_type=Path), help="Folder for the data sets [default: $GRAPE_BENCH_DATA].")
def prepare(names: tuple[str, ...], to: Path | None) -> None:
    """Download the data sets NAMES (such as cifar10) from the hub to $GRAPE_BENCH_DATA/NAME/SPLIT.parquet."""
    from grape_bench.data.named import prepare as fetch
    from grape_bench.data.names import VARIABLE

    root = to or (Path(os.environ[VARIABLE]).expanduser() if os.environ.get(VARIABLE) else None)
    if root is None:
        raise UserError(f"${VARIABLE} is not set", hint=f"export {VARIABLE}=DIR, or --to DIR")
    for name in names:
        folder, rows = fetch(name, root)
        say(f"{folder}: " + ", ".join(f"{split} {count}" for split, count in rows.items()))
    if str(root) != os.environ.get(VARIABLE):
        say(f"to use them in runs: export {VARIABLE}={root.absolute()}")

"""`grape-bench report`: the table and the picture of a folder of runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write to [default: RUNS].")
def command(runs: Path, output: Path | None) -> None:
    """Write table.csv, table.md and results.svg of RUNS (such as runs/quickstart); print the table."""
    # Imported here: `--help` must not wait for pandas and matplotlib.
    from rich.console import Console

    from grape_bench.report import folder, terminal

    Console().print(terminal.render(folder.write(runs, output or runs)))

"""`grape-bench report`: a folder that shows and explains the results of runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write to [default: RUNS/report].")
def command(runs: tuple[Path, ...], output: Path | None) -> None:
    """Report on RUNS (such as runs/quickstart; several folders of one suite are put into one report).

    Writes README.md, table.csv, table.tex, pictures as SVG and PDF, and index.html, which needs no other file and no
    network. Prints the table.
    """
    # Imported here: `--help` must not wait for pandas and matplotlib.
    from rich.console import Console

    from grape_bench.report import folder, terminal
    from grape_bench.score.results import results
    from grape_bench.track.runs import read_runs

    found = read_runs(*runs)
    scored = results(found.records, found.curves, found.diagnostics)
    output = output or runs[0] / "report"
    folder.write(scored, output)
    Console().print(terminal.render(scored.table))
    click.echo(f"report   {output}/index.html, {output}/README.md")

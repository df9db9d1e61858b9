"""`grape-bench report`: write a report on the results of runs."""

from __future__ import annotations

from pathlib import Path

import click

from grape_bench.cli.names import RunFolder
from grape_bench.cli.say import say
from grape_bench.errors import UserError


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=RunFolder())
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write to [default: RUNS/report].")
def command(runs: tuple[Path, ...], output: Path | None) -> None:
    """Write a report on RUNS, such as runs/quickstart. Several folders of one suite make one report.

    The report has README.md, table.csv, table.tex, figures as SVG and PDF, and a self-contained index.html that works
    offline. The table is also printed.
    """
    # Imported here: `--help` must not wait for pandas and matplotlib.
    from grape_bench.record.deadline import FOLDER_S, deadline
    from grape_bench.report import folder, terminal
    from grape_bench.report.console import PlainConsole
    from grape_bench.score.results import results
    from grape_bench.track.runs import read_runs

    target = output or runs[0] / "report"
    if output is None and target.is_symlink():
        raise UserError("this is a link, which may lead out of the folder", where=str(target), hint="-o FOLDER")
    with deadline(FOLDER_S, str(runs[0])):
        found = read_runs(*runs)
        scored = results(found.records, found.curves, found.diagnostics, found.untuned)
        folder.write(scored, target)
        PlainConsole().print(terminal.render(scored.table))
    if found.note:
        say(f"also     {found.note}")
    say(f"report   {target}/index.html, {target}/README.md")

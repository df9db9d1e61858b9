"""`grape-bench report`: write a report on the results of runs."""

from __future__ import annotations

from pathlib import Path

import click

from grape_bench.cli.names import RunFolder
from grape_bench.cli.say import say
from grape_bench.errors import UserError, located

COSTS = ("samples", "seconds", "flops", "critical-path", "joules")
"""The names of `score.cost_axis.AXES`, which `--help` must not wait for."""


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=RunFolder())
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write to [default: RUNS/report].")
@click.option("--at", type=click.Choice(COSTS), help="Also compare the rules at equal cost, on validation scores.")
def command(runs: tuple[Path, ...], output: Path | None, at: str | None) -> None:
    """Write a report on RUNS, such as runs/quickstart. Several folders of one suite make one report.

    The report has README.md, table.csv, table.tex, figures as SVG and PDF, and a self-contained index.html that works
    offline. The table is also printed.

    With --at, the comparison at equal cost is added and printed instead: each rule at shares of BP's budget, and the
    pairs of rules whose order flips.
    """
    # Imported here: `--help` must not wait for pandas and matplotlib.
    from grape_bench.record.deadline import FOLDER_S, deadline
    from grape_bench.report import equal_cost, folder, terminal
    from grape_bench.report.console import PlainConsole
    from grape_bench.score.results import results
    from grape_bench.track.runs import read_runs

    target = output or runs[0] / "report"
    if output is None and target.is_symlink():
        raise UserError("this is a link, which may lead out of the folder", where=str(target), hint="-o FOLDER")
    with deadline(FOLDER_S, str(runs[0])):
        found = read_runs(*runs)
        with located(str(runs[0])):
            scored = results(found.records, found.curves, found.diagnostics, untuned=found.untuned, at=at)
        folder.write(scored, target)
        PlainConsole().print(equal_cost.terminal(scored.equal) if scored.equal else terminal.render(scored.table))
    if found.note:
        say(f"also     {found.note}")
    say(f"report   {target}/index.html, {target}/README.md")

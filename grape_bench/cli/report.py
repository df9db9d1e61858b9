"""`grape-bench report`: write a report on the results of runs."""

from __future__ import annotations

from pathlib import Path

import click

from grape_bench.cli.names import RunFolder
from grape_bench.cli.say import amount, say
from grape_bench.errors import UserError, located

COSTS = ("samples", "seconds", "flops", "critical-path", "joules")
"""The names in `score.cost_axis.AXES`, repeated here because `--help` must not wait for that import."""


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=RunFolder())
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write to [default: RUNS/report].")
@click.option("--at", type=click.Choice(COSTS), help="Also compare the rules at equal cost, on validation scores.")
@click.option("--rules", default="", metavar="RULE,...", help="Show only these rules, in this order.")
@click.option("--columns", default="", metavar="COLUMN,...", help="Print these columns of table.csv, in this order.")
@click.option("--name", "names", multiple=True, metavar="RULE=NAME", help="Call a rule NAME; may be repeated.")
@click.option("--width", default="10in", show_default=True, help="Width of the figures: 5.5in, 14cm, 397pt.")
def command(runs: tuple[Path, ...], output: Path | None, at: str | None, names: tuple[str, ...], **given: str) -> None:
    """Write a report on RUNS, such as runs/quickstart. Several folders of one suite make one report.

    The report has README.md, table.csv, table.tex, figures as SVG and PDF, and a self-contained index.html that works
    offline. The table is also printed. For a paper, choose the rules, their names and the width of a column:

      grape-bench report runs/quickstart --rules bp,dfa,my-rule --name my-rule=Ours --width 5.5in

    With --at, the comparison at equal cost is added and printed instead: each rule at shares of BP's budget, and the
    pairs of rules whose order flips.
    """
    # Imported here: `--help` must not wait for pandas and matplotlib.
    from grape_bench.record.deadline import FOLDER_S, deadline
    from grape_bench.record.status import Status
    from grape_bench.report import equal_cost, folder, terminal
    from grape_bench.report.choice import Choice, inches, scored
    from grape_bench.report.console import PlainConsole
    from grape_bench.track.runs import read_runs

    target = output or runs[0] / "report"
    if output is None and target.is_symlink():
        raise UserError("this is a link, which may lead out of the folder", where=str(target), hint="-o FOLDER")
    choice = Choice(_parts(given["rules"]), _parts(given["columns"]), _pairs(names), inches(given["width"]))
    with deadline(FOLDER_S, str(runs[0])):
        found = read_runs(*runs)
        with located(str(runs[0])):
            results = scored(found, choice, at)
        folder.write(results, target, choice.width)
        PlainConsole().print(equal_cost.terminal(results.equal) if results.equal else terminal.render(results.table))
    if found.note:
        say(f"also     {found.note}")
    missing = sum(one.status is Status.FINISHED and one.id not in found.curves for one in found.records)
    if missing:
        say(f"missing  curve.csv of {amount(missing, 'run')}, which the figures over training leave out")
    say(f"report   {target}/index.html, {target}/README.md")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """Parse RULE=NAME into a mapping. It splits at the last equals sign, because a rule's settings may contain one."""
    for text in texts:
        if "=" not in text:
            raise UserError(f"not a name for a rule: {text!r}", where="--name", hint="--name RULE=NAME")
    return {rule: name for rule, _, name in (text.rpartition("=") for text in texts)}

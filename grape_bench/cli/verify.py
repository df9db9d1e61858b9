"""`grape-bench verify`: check published results."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from grape_bench.publish.rerun import Rerun
    from grape_bench.publish.submission import Submission
    from grape_bench.publish.verify import Verification

SHOWN = 5  # problems of a check


@click.command("verify")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--rerun", "count", type=click.IntRange(min=1), metavar="K", help="Run K random cells again.")
@click.option("--tolerance", default=1.0, show_default=True, help="How far a cell run again may be off, in points.")
@click.option("--seed", type=int, help="Of the choice of cells [default: a new one every time].")
@click.option("--keep", is_flag=True, help="Write verification.json beside the index when the reruns agree.")
def command(folders: tuple[Path, ...], count: int | None, tolerance: float, seed: int | None, keep: bool) -> None:
    """Check the published FOLDERS (results/SUITE/RULE): files, records, identity, budgets, selection, numbers.

    Nothing that a folder brings is executed, unless --rerun asks for it: that trains the published rule on this
    machine, with the code that was published. Exit code 0: all is well; 1: something is wrong; 2: not a publication.
    """
    from grape_bench.publish.verification import write_verification
    from grape_bench.publish.verify import verify

    ok = True
    for folder in folders:
        verification = verify(folder)
        if count and verification.ok:
            seed = secrets.randbelow(2**31) if seed is None else seed
            reruns = _rerun(verification.submission, count, tolerance, seed)
            verification = dataclasses.replace(verification, reruns=reruns)
            if keep and verification.ok:
                click.echo(f"kept in {write_verification(verification, seed)}")
        show(verification)
        ok = ok and verification.ok
    sys.exit(0 if ok else 1)


def show(verification: Verification) -> None:
    """A line per check and per cell that was run again, what is wrong, and the badge."""
    from grape_bench.publish.verify import BADGES

    for outcome in verification.outcomes:
        word = click.style("ok    ", fg="green") if outcome.ok else click.style("FAILED", fg="red")
        click.echo(f"{word}  {outcome.name:<12} {outcome.about}")
        for problem in outcome.problems[:SHOWN]:
            click.echo(f"          {problem}")
        if len(outcome.problems) > SHOWN:
            click.echo(f"          and {len(outcome.problems) - SHOWN} more")
    for rerun in verification.reruns:
        word = click.style("ok    ", fg="green") if rerun.ok else click.style("FAILED", fg="red")
        found = "did not finish" if rerun.found is None else f"{rerun.found:.2f}"
        click.echo(f"{word}  run again    {rerun.name}: {found}, published {rerun.published:.2f} ± {rerun.tolerance:g}")
    click.echo(f"{verification.submission.folder}: {verification.badge} ({BADGES[verification.badge]})")


def _rerun(submission: Submission, count: int, tolerance: float, seed: int) -> list[Rerun]:
    from tempfile import TemporaryDirectory

    from grape_bench.cli.plain import Plain
    from grape_bench.execute.sweep import Request, run_sweep
    from grape_bench.publish.rerun import draw, rerun

    jobs = draw(submission, count, seed)
    click.echo(f"running {len(jobs)} of {len(submission.own)} jobs again, drawn with --seed {seed}")
    with TemporaryDirectory() as room:
        return rerun(
            submission, jobs, tolerance, lambda plan: run_sweep(Request(plan, Path(room) / "again"), Plain(), None)
        )

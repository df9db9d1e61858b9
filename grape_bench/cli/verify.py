"""`grape-bench verify`: verify published results."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grape_bench.cli.say import say
from grape_bench.errors import in_one_line

if TYPE_CHECKING:
    from grape_bench.publish.submission import Submission
    from grape_bench.publish.verify import Rerun, Verification
    from grape_bench.record.job import Job

SHOWN = 5  # problems to print per check


@click.command("verify")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--rerun", "count", type=click.IntRange(min=1), metavar="K", help="Rerun K random jobs.")
@click.option(
    "--tolerance",
    default=1.0,
    show_default=True,
    help="How much a rerun may differ, in points; in percent for a perplexity or RMSE.",
)
@click.option("--seed", type=int, help="Seed that picks the jobs to rerun [default: random].")
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A copy of local data that the runs read; may be repeated.",
)
@click.option("--keep", is_flag=True, help="Write verification.json next to the index if the reruns agree.")
def command(
    folders: tuple[Path, ...],
    count: int | None,
    tolerance: float,
    seed: int | None,
    data: tuple[Path, ...],
    keep: bool,
) -> None:
    """Verify the published FOLDERS (results/SUITE/RULE): files, records, identity, budgets, selection, numbers.

    Without --rerun nothing from a folder is executed. --rerun trains the published rule on this machine, with the
    published code. Exit code 0: every check passed; 1: a check failed; 2: not a publication.
    """
    from grape_bench.publish.verify import draw, verify, write_verification

    ok = True
    for folder in folders:
        verification = verify(folder)
        if count and verification.ok:
            seed = secrets.randbelow(2**31) if seed is None else seed
            say(f"the reruns are drawn with --seed {seed}")
            reruns = _rerun(verification.submission, draw(verification.submission, count, seed, data), tolerance)
            verification = dataclasses.replace(verification, reruns=reruns)
            if keep and verification.ok:
                say(f"saved to {write_verification(verification, seed)}")
        show(verification)
        ok = ok and verification.ok
    sys.exit(0 if ok else 1)


def show(verification: Verification) -> None:
    """Print a line per check and per rerun, the problems, and the badge."""
    from grape_bench.publish.here import needs
    from grape_bench.publish.verify import BADGES

    for outcome in verification.outcomes:
        _say_whether(outcome.ok, f"{outcome.name:<12} {outcome.about}")
        for problem in outcome.problems[:SHOWN]:
            say(f"          {in_one_line(problem)}")
        if len(outcome.problems) > SHOWN:
            say(f"          and {len(outcome.problems) - SHOWN} more")
    for rerun in verification.reruns:
        found = "did not finish" if rerun.found is None else f"{rerun.found:.4g}"
        published = f"published {rerun.published:.4g} ± {rerun.tolerance:.3g}"
        _say_whether(rerun.ok, f"rerun        {rerun.name}: {found}, {published}")
    for need in needs(record.job for record in verification.submission.records.values()):
        say(f"needs   {in_one_line(need)}, to rerun")
    say(f"{verification.submission.folder}: {verification.badge} ({BADGES[verification.badge]})")


def _say_whether(ok: bool, text: str) -> None:
    word, color = ("ok    ", "green") if ok else ("FAILED", "red")
    say(f"  {text}", word=word, color=color)


def _rerun(submission: Submission, jobs: list[Job], tolerance: float) -> list[Rerun]:
    from tempfile import TemporaryDirectory

    from grape_bench.cli.display import Plain
    from grape_bench.execute.sweep import Request, run_sweep
    from grape_bench.publish.verify import rerun

    say(f"rerunning {len(jobs)} of {len(submission.own)} jobs")
    with TemporaryDirectory() as folder:
        return rerun(
            submission, jobs, tolerance, lambda plan: run_sweep(Request(plan, Path(folder) / "again"), Plain(), None)
        )

"""`grape-bench verify`: verify published results."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grape_bench.cli.say import as_json, say, say_json
from grape_bench.cli.verification import show, values
from grape_bench.errors import UserError, in_one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grape_bench.publish.rerun import Auditor, Rerun
    from grape_bench.publish.verify import Verification


@click.command("verify")
@click.argument("places", metavar="[FOLDERS]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--since", metavar="COMMIT", help="Verify what the commits since COMMIT add. Refuse other changes.")
@click.option("--rerun", "count", type=click.IntRange(min=1), metavar="K", help="Rerun K random jobs.")
@click.option(
    "--tolerance",
    default=1.0,
    show_default=True,
    help="Largest allowed difference on another kind of machine, in points (perplexity and RMSE: in percent).",
)
@click.option("--seed", type=int, help="Seed that picks the jobs to rerun [default: random].")
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A copy of local data that the runs read; may be repeated.",
)
@click.option("--unconfined", is_flag=True, help="Rerun without isolation. Only for code that you have read.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Save reruns that agree to DIR. The leaderboard reads results/verifications.",
)
@as_json
def command(
    places: tuple[Path, ...],
    since: str | None,
    count: int | None,
    tolerance: float,
    seed: int | None,
    data: tuple[Path, ...],
    unconfined: bool,
    keep: Path | None,
    json: bool,
) -> None:
    """Verify published FOLDERS (results/SUITE/RULE) or zips: files, records, identity, budgets, selection, numbers.

    Without --rerun nothing from a folder is executed. --rerun trains the published rule on this machine, with the
    published code, in a sandbox: no network, an empty environment, no test split, one folder to write. Exit code 0:
    every check passed; 1: a check failed; 2: not a publication.
    """
    from grape_bench.publish.archive import opened
    from grape_bench.publish.badge import write_verification
    from grape_bench.publish.changes import submitted
    from grape_bench.publish.rerun import Auditor
    from grape_bench.publish.verify import verify

    if bool(places) == (since is not None):
        what = "either FOLDERS or --since COMMIT, not both" if places else "neither FOLDERS nor --since COMMIT"
        raise UserError(what, where="verify", hint="grape-bench verify results/SUITE/RULE")
    if since is not None:
        places = tuple(submitted(Path(), since))
    if count and not unconfined:
        _require_isolation()
    ok, found = True, []
    for place in places:
        with opened(place) as folder:
            verification = verify(folder)
            if count and verification.ok:
                seed = secrets.randbelow(2**31) if seed is None else seed
                say(f"the reruns are drawn with --seed {seed}")
                auditor = Auditor(verification.submission, tolerance, data, not unconfined, say)
                verification = dataclasses.replace(verification, reruns=_rerun(auditor, count, seed))
                if keep and verification.ok:
                    say(f"saved to {write_verification(verification, seed, keep)}")
            if json:
                found.append(values(verification, place))
            else:
                show(verification, place)
            if since is not None and verification.ok:
                _preview(verification, Path("results"))
        ok = ok and verification.ok
    if json:
        say_json(found)
    sys.exit(0 if ok else 1)


def _preview(verification: Verification, results: Path) -> None:
    """Print the stage of a submission, and the suite's table with its row."""
    from grape_bench.publish.badge import STAGES, stage
    from grape_bench.publish.index import VERIFICATIONS
    from grape_bench.publish.site import preview
    from grape_bench.report import terminal
    from grape_bench.report.console import PlainConsole
    from grape_bench.score.table import score

    reached = stage(verification, results / VERIFICATIONS)
    say(f"stage: {reached} ({STAGES.index(reached) + 1} of {len(STAGES)}: {', '.join(STAGES)})")
    say("the table with this submission, if it were ranked:")
    PlainConsole().print(terminal.render(score(preview(results, verification.submission.folder))))


def _require_isolation() -> None:
    from grape_bench.publish.sandbox import missing

    if why := missing():
        hint = "install bubblewrap; or read the code, then add --unconfined"
        raise UserError(f"a rerun executes the published code, and nothing here can confine it: {why}", hint=hint)


def _rerun(auditor: Auditor, count: int, seed: int) -> Sequence[Rerun]:
    """Rerun `count` random jobs."""
    from grape_bench.publish.rerun import differences, draw

    records = draw(auditor.submission, count, seed)
    say(f"rerunning {len(records)} of {len(auditor.submission.own)} jobs")
    for difference in sorted({one for record in records for one in differences(record)}):
        say(f"differs {in_one_line(difference)}")
    return auditor.rerun(records)

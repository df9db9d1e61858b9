"""`grape-bench show`: show one run in detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grape_bench.cli.names import RunName
from grape_bench.cli.say import as_json, say_json, say_program
from grape_bench.errors import UserError, unknown

if TYPE_CHECKING:
    from grape_bench.record.record import Record
    from grape_bench.score.verdict import Verdict


@click.command("show")
@click.argument("run", type=RunName())
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder in which to look for a run by name.",
)
@click.option("--script", is_flag=True, help="Print a plain PyTorch script that repeats the run bit for bit.")
@as_json
def command(run: str, out: Path, script: bool, json: bool) -> None:
    """Show RUN: settings, outcome, curve, alignment by block, and the verdict with its reasons.

    RUN is the folder of a run, its record.json, or the start of its name or id.
    """
    from grape_bench.record.deadline import FOLDER_S, deadline
    from grape_bench.record.record import read_record
    from grape_bench.report.console import PlainConsole
    from grape_bench.report.run import render

    if script and json:
        raise UserError("--script and --json exclude each other", where="show", hint="leave out one of them")
    with deadline(FOLDER_S, run):
        path = find(run, out)
        record = read_record(path)
        if script:
            from grape_bench.report.script import script as written

            say_program(written(record))
            return
        verdict = _verdict(record, path)
        if json:
            say_json({**record.to_dict(), "verdict": asdict(verdict)})
            return
        PlainConsole().print(render(record, verdict, path.parent))


def find(run: str, out: Path) -> Path:
    """The record.json of `run`. Raises UserError if no run matches, or more than one does."""
    from grape_bench.record.record import RECORD

    given = Path(run)
    if given.is_file():
        return given
    if (given / RECORD).is_file():
        return given / RECORD
    every = sorted(out.glob(f"*/*/{RECORD}")) + sorted(out.glob(f"*/{RECORD}"))
    start = run.replace(":", "--")  # as in the names of folders: see `RuleName.file_label`
    found = [path for path in every if path.parent.name.startswith(start)]
    if not found:
        found = [path for path in every if _id(path).startswith(run)]
    if len(found) > 1:
        found = _in_table(found) or found
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.parent.name for path in found[:8]) + (" ..." if len(found) > 8 else "")
        raise UserError(
            f"{len(found)} runs have a name that starts with this",
            where=run,
            allowed=names,
            hint=f"grape-bench show {found[0]}",
        )
    if not every:
        raise UserError(
            f"no such run, and {out} has no runs", where=run, hint="grape-bench show FOLDER, or --out FOLDER"
        )
    raise unknown("run", run, [path.parent.name for path in every][:20], where=str(out))


def _in_table(paths: Sequence[Path]) -> list[Path]:
    """The `paths` whose record is in its folder's table. Records with another budget or from older code are not."""
    from grape_bench.record.folder import read_records

    shown = {folder: {record.name for record in read_records(folder)} for folder in {p.parent.parent for p in paths}}
    return [path for path in paths if path.parent.name in shown[path.parent.parent]]


def _id(path: Path) -> str:
    """The id of the record in `path`, or "" if it is unreadable, because the user may mean another run."""
    from grape_bench.record.record import read_record

    try:
        return read_record(path).id
    except UserError:
        return ""


def _verdict(record: Record, path: Path) -> Verdict:
    """The verdict against the control of the same task and seed, if the folder has it."""
    from grape_bench.record.folder import read_folder
    from grape_bench.score.cell import cells
    from grape_bench.score.references import References
    from grape_bench.score.verdict import judge

    records = read_folder(path.parent.parent, record.task).found([record.id]).records
    same = [r for r in records if (r.task, r.seed) == (record.task, record.seed)]
    grid = cells([record, *(r for r in same if r.rule != record.rule)])
    return judge(grid[record.task, record.rule], References.of(grid, record.task))

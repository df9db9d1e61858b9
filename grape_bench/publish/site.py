"""The leaderboard: a static site that shows the published results of every suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.publish.index import INDEX
from grape_bench.publish.verify import badge_of, verify
from grape_bench.record.folder import read_records, runs_folder
from grape_bench.record.record import Record
from grape_bench.record.rule_name import RuleName
from grape_bench.record.write import write_text
from grape_bench.report import page
from grape_bench.report.templates import page_template
from grape_bench.score.columns import OVERALL
from grape_bench.score.labels import labels
from grape_bench.score.results import Results, results
from grape_bench.track.runs import Runs, read_jobs


@dataclass(frozen=True)
class Entry:
    """One publication: its rule, version, paper and badge."""

    rule: str
    version: str
    paper: str
    badge: str
    folder: Path


@dataclass(frozen=True)
class Board:
    """One suite: its publications, and the combined results."""

    suite: str
    entries: Sequence[Entry]
    results: Results


def build(root: Path, output: Path) -> list[Board]:
    """Write `<output>/index.html` and one page per suite from `root` (results/SUITE/RULE, or results/SUITE/runs).

    Raises UserError if `root` has no publications, or if the publications of a suite cannot be compared.
    """
    boards = [board for folder in sorted(root.glob("*/")) if (board := _board(folder))]
    if not boards:
        raise UserError("no publications in this folder", where=str(root), hint="grape-bench publish RUNS --rule R")
    for board in boards:
        write_text(output / board.suite / "index.html", page.render(board.results, board.entries))
    overview = page_template("site.html.j2").render(
        boards=boards,
        names=lambda board: labels(board.results.rules),
        norm_acc=OVERALL[0],
        style=page.style(),
        policy=page.policy(),
    )
    write_text(output / "index.html", overview)
    return boards


def _board(folder: Path) -> Board | None:
    publications = sorted(path.parent for path in folder.glob(f"*/{INDEX}"))
    plain = [runs_folder(folder)] if any(runs_folder(folder).glob("*/record.json")) else []
    entries = [_entry(path) for path in publications]
    owners = {entry.rule: entry.folder for entry in entries}
    runs = _merged([*publications, *plain], owners)
    if not runs.records:
        return None
    return Board(folder.name, entries, results(runs.records, runs.curves, runs.diagnostics))


def _entry(folder: Path) -> Entry:
    verification = verify(folder)
    card = verification.submission.card
    return Entry(card.name, card.version, card.paper, badge_of(verification), folder)


def _merged(folders: Sequence[Path], owners: dict[str, Path]) -> Runs:
    """The runs of each (task, rule), from the rule's own publication or else from the folder with the newest run."""
    found: dict[tuple[str, str], dict[Path, list[Record]]] = {}
    for folder in folders:
        for record in read_records(runs_folder(folder)):
            found.setdefault((record.task, record.rule), {}).setdefault(folder, []).append(record)
    jobs: list[Path] = []
    for (_, rule), by_folder in found.items():
        newest = max(by_folder, key=lambda folder: max(r.ended for r in by_folder[folder]))
        owner = owners.get(RuleName.parse(rule).label)
        chosen = owner if owner in by_folder else newest
        jobs += [runs_folder(chosen) / record.name for record in by_folder[chosen]]
    return read_jobs(jobs)

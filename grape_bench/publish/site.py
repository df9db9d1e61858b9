"""The leaderboard: a static site that shows the results of every suite.

The references of a suite are the maintainers' baselines. Each submission has its own rows under its own names, so it
cannot affect those of another. Only rows that a maintainer has rerun are in the table. The others are listed below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grape_bench.errors import UserError, printable
from grape_bench.publish import overview
from grape_bench.publish.badge import badge_of
from grape_bench.publish.baselines import baseline_folder, read_baselines
from grape_bench.publish.confusable import skeleton
from grape_bench.publish.editions import Edition, superseded
from grape_bench.publish.index import INDEX, VERIFICATIONS
from grape_bench.publish.submission import RUNS
from grape_bench.publish.verify import Verification, verify
from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN
from grape_bench.record.write import write_text
from grape_bench.report import page
from grape_bench.report.templates import page_template
from grape_bench.score.cell import cells
from grape_bench.score.columns import OVERALL
from grape_bench.score.comparable import check
from grape_bench.score.open_rows import OPEN_MARK
from grape_bench.score.overall import overall as averages
from grape_bench.score.results import Results, results
from grape_bench.track.runs import Runs, read_jobs

FIRST = "core"
"""The suite at the top of the first page."""

NOTHING = Runs([], {}, {})


@dataclass(frozen=True)
class Entry:
    """One submission: its row's name, version, paper and badge, and its runs.

    `reason` says why it is not in the table; it is empty for a row that is.
    """

    rule: str
    version: str
    paper: str
    badge: str
    folder: Path
    reason: str = ""
    runs: Runs = NOTHING
    norm_acc: str = ""  # against the baselines, if the checks pass

    @property
    def ranked(self) -> bool:
        """Whether the entry has a row in the table."""
        return not self.reason


@dataclass(frozen=True)
class Board:
    """One suite: the results of the baselines and of the ranked submissions (None without baselines), and all entries.

    `refused` says why the baselines cannot be used. `edition` is the one in the table, and `earlier` the ones that it
    replaced, the last one first.
    """

    suite: str
    entries: Sequence[Entry]
    results: Results | None
    refused: str = ""
    edition: Edition | None = None
    earlier: Sequence[Edition] = ()


def build(root: Path, output: Path, claims: str = "") -> list[Board]:
    """Write `<output>/index.html` and one page per suite from `root`.

    The maintainers' baselines are in `root`/SUITE/runs, the submissions in `root`/SUITE/RULE, and the maintainers'
    reruns in `root`/verifications. A submission that cannot be read is listed with the reason. Results that a newer
    version replaced are in `root`/superseded/SUITE@VERSION/runs, and get a page of their own. The first page links to
    claims.html with the sentence `claims`, if there is one. Raises UserError if there is nothing to show.
    """
    if root.is_file():
        raise UserError("this is a file", where=str(root), hint="unzip it in results, then name that folder")
    folders = [path for path in sorted(root.glob("*/")) if path.name != VERIFICATIONS and not path.is_symlink()]
    boards = [board for folder in folders if (board := _board(root, folder))]
    if not boards:
        raise UserError("no publications in this folder", where=str(root), hint="grape-bench publish RUNS --rule R")
    for board in boards:
        if board.results:
            write_text(output / board.suite / "index.html", page.render(board.results, board.entries))
        for edition in board.earlier:
            write_text(output / edition.name / "index.html", page.render(_results(edition.runs), notice=_notice(board)))
    lines = {board.suite: overview.lines(board.results) for board in boards if board.results}
    start = page_template("site.html.j2").render(
        boards=sorted(boards, key=lambda board: board.suite != FIRST),
        claims=claims,
        lines=lines,
        families=overview.families(lines),
        references=("bp", f"bp:open{OPEN_MARK}", FROZEN),
        style=page.style(),
        script=page.script("site.js"),
        policy=page.policy("site.js"),
    )
    write_text(output / "index.html", start)
    return boards


def preview(root: Path, folder: Path) -> list[Record]:
    """The records behind the table of `root` as it would look if the submission in `folder` were ranked.

    Raises UserError if a check fails, or if there are no baselines to compare it with.
    """
    runs = baseline_folder(root, folder.parent.name)
    baselines = read_baselines(runs).records if runs else []
    found = Runs(baselines, {}, {})
    entry = _checked(folder, root / VERIFICATIONS, found)
    if not entry.runs.records:
        raise UserError(entry.reason, where=str(folder))
    (named,) = _named([entry], found)
    return [*baselines, *named.runs.records]


def _board(root: Path, folder: Path) -> Board | None:
    baselines, refused = NOTHING, ""
    if (runs := baseline_folder(root, folder.name)) is not None:
        found = read_baselines(runs)
        refused = found.refused
        baselines = read_jobs([runs / record.name for record in found.records])
    submissions = sorted(path.parent for path in folder.glob(f"*/{INDEX}") if not path.parent.is_symlink())
    if not submissions and not baselines.records and not refused:
        return None
    entries = [_entry(path, root / VERIFICATIONS, baselines) for path in submissions]
    ranked = _named(entries, baselines)
    every = _joined([baselines, *(entry.runs for entry in ranked if entry.ranked)])
    shown = _results(every) if baselines.records else None
    edition = Edition.of(folder.name, baselines) if baselines.records else None
    return Board(folder.name, ranked, shown, refused, edition, superseded(root, folder.name))


def _notice(board: Board) -> str:
    now = f"version {board.edition.version} of {board.edition.date}" if board.edition else "a newer version"
    return f"These results are superseded by {now}. They stay here for tables that cite them."


def _entry(folder: Path, verifications: Path, baselines: Runs) -> Entry:
    """The entry of one submission, with a reason if anything is wrong with it."""
    broken = Entry(folder.name, "", "", "reported", folder)
    try:
        return _checked(folder, verifications, baselines)
    except UserError as error:
        return replace(broken, reason=error.what)
    except Exception as error:  # a submission that breaks a check must not keep the others from being shown
        return replace(broken, reason=f"it cannot be checked: {type(error).__name__}")


def _checked(folder: Path, verifications: Path, baselines: Runs) -> Entry:
    verification = verify(folder)
    card, badge = verification.submission.card, badge_of(verification, verifications)
    entry = Entry(card.name, card.version, card.paper, badge, folder)
    failed = [outcome for outcome in verification.outcomes if not outcome.ok]
    if failed:
        return replace(entry, reason=f"the check {failed[0].name} fails: {failed[0].problems[0]}")
    if not baselines.records:
        return replace(entry, reason="there are no baselines of this suite to compare it with")
    runs = _own(verification, f"{card.name} ({folder.name})")
    norm_acc = _norm_acc(_joined([baselines, runs]), runs.records[0].rule)  # raises if they cannot share a table
    reason = "" if badge == "verified" else "nobody has rerun it yet"
    return replace(entry, reason=reason, runs=runs, norm_acc=norm_acc)


def _own(verification: Verification, name: str) -> Runs:
    """The runs of the published rule, as a rule called `name`."""
    submission = verification.submission
    return _renamed(read_jobs([submission.folder / RUNS / one for one in submission.own]), name)


def _renamed(runs: Runs, name: str) -> Runs:
    return replace(runs, records=[replace(one, job=replace(one.job, rule=name)) for one in runs.records])


def _named(entries: Sequence[Entry], baselines: Runs) -> list[Entry]:
    """The entries under distinct names: with the folder if another row has, or looks like, the rule's name."""
    one_per_rule = {record.rule: record for record in baselines.records}
    taken = [skeleton(record.job.rule_name.label) for record in one_per_rule.values()]
    taken += [skeleton(entry.rule) for entry in entries]
    found = []
    for entry in entries:
        name = entry.rule if taken.count(skeleton(entry.rule)) == 1 else f"{entry.rule} ({entry.folder.name})"
        found.append(replace(entry, rule=printable(name), runs=_renamed(entry.runs, printable(name))))
    return found


def _joined(every: Sequence[Runs]) -> Runs:
    records = [record for runs in every for record in runs.records]
    curves = {name: rows for runs in every for name, rows in runs.curves.items()}
    diagnostics = {name: rows for runs in every for name, rows in runs.diagnostics.items()}
    return Runs(records, curves, diagnostics)


def _results(runs: Runs) -> Results:
    return results(runs.records, runs.curves, runs.diagnostics)


def _norm_acc(runs: Runs, rule: str) -> str:
    """The mean norm acc of `rule`, or "" for too few tasks. Raises UserError if the runs cannot share a table."""
    grid = cells(runs.records)
    check(grid.values())
    overall = averages(grid)
    rows = [] if overall.empty else overall[overall["rule"] == rule].to_dict("records")
    return str(OVERALL[0].text(rows[0])) if rows else ""

"""The maintainers' baselines: the runs in `results/SUITE/runs`.

Such a folder has a manifest and no index. A folder with an index is a submission, whatever its name is. Baselines are
used only if they pass their checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import grape_bench
from grape_bench.errors import UserError
from grape_bench.plan.find import suite_files
from grape_bench.publish import checks
from grape_bench.publish.card import Card
from grape_bench.publish.index import INDEX
from grape_bench.publish.submission import RUNS, Submission, read_suite
from grape_bench.record.damage import DamagedError
from grape_bench.record.folder import read_folder, read_records
from grape_bench.record.manifest import MANIFEST, SUITE
from grape_bench.record.record import Record
from grape_bench.record.table import Table, read_curve

RESULTS = Path(grape_bench.__file__).parent.parent / "results"
"""The results next to the package in a checkout. An installed package has none."""

CHECKS = (
    "identity",
    "suite",
    "numerics",
    "budgets",
    "environment",
    "outcomes",
    "curves",
    "copies",
    "scores",
    "times",
    "cost",
    "credit",
    "diagnostics",
)
"""The checks of a publication that a folder of runs can pass too. It has no card, no source and no index."""


@dataclass(frozen=True)
class Baselines:
    """The records of a suite's baselines, or why they cannot be used.

    `records` share a table. If its rules are tuned, `untuned` may hold their runs with the suite's own settings.
    """

    folder: Path
    records: list[Record] = field(default_factory=list)
    untuned: list[Record] = field(default_factory=list)
    refused: str = ""


def baseline_folder(results: Path, suite: str) -> Path | None:
    """The maintainers' runs of `suite` in the folder `results`, or None."""
    folder = results / suite / RUNS
    if any(path.is_symlink() or (path / INDEX).exists() for path in (folder, folder.parent)):
        return None
    return folder if (folder / MANIFEST).is_file() else None


def read_baselines(folder: Path) -> Baselines:
    """The baselines in `folder`, a `baseline_folder`, after their checks."""
    try:
        found = read_folder(folder).found()
        lines = [records for records in (found.records, found.untuned) if records]
        submissions = [_as_submission(folder, records) for records in lines]
        failed = [outcome for one in submissions for outcome in checks.run(one, CHECKS) if not outcome.ok]
    except UserError as error:
        return Baselines(folder, refused=f"{error.where}: {error.what}")
    if failed:
        return Baselines(folder, refused=f"the check {failed[0].name} fails: {failed[0].problems[0]}")
    return Baselines(folder, found.records, found.untuned)


def recorded_jobs(suite: str) -> tuple[dict[str, Record], list[str]]:
    """The recorded results of `suite` by job id, which need not run again, and a line for each refused folder.

    They are the baselines in `./results` and in the checkout. Submissions are never used.
    """
    found: dict[str, Record] = {}
    refused = []
    folders = [baseline_folder(results, suite) for results in (Path("results"), RESULTS)]
    for folder in {path.resolve(): path for path in folders if path}.values():
        baselines = read_baselines(folder)
        if baselines.refused:
            refused.append(f"the recorded runs in {folder} are not used: {baselines.refused}")
        for record in (*baselines.records, *baselines.untuned):
            if record.suite == suite and record.status.is_result:
                found.setdefault(record.id, record)
    return found, refused


@lru_cache(maxsize=16)
def baseline_records(suite: str, version: str) -> tuple[Record, ...]:
    """The results of the checkout's baselines for this version of a suite; empty if this installation has none."""
    folder = baseline_folder(RESULTS, suite) if suite in suite_files() else None
    try:
        records = read_records(folder) if folder else []
    except UserError:
        return ()
    return tuple(record for record in records if record.job.version == version and record.status.is_result)


def _as_submission(folder: Path, records: list[Record]) -> Submission:
    """A folder of runs in the form that the checks read. All its rules are references, so it gets the card of BP."""
    found: dict[str, Table] = {}
    damaged: dict[str, str] = {}
    for record in records:
        try:
            curve = read_curve(folder / record.name, record)
            found |= {record.name: curve} if curve else {}
        except DamagedError as error:
            damaged[record.name] = error.what
    source = next((record.job.rule_source for record in records if record.rule == "bp"), "0" * 16)
    card = Card(name="bp", version="1.0", source=source, weight_transport=True, bp_fraction=1.0)
    by_name: Mapping[str, Record] = {record.name: record for record in records}
    return Submission(folder, {}, card, read_suite(folder / SUITE), dict(by_name), found, {}, damaged)

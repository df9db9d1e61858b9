"""Read a published folder as data. Nothing in it is executed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from grape_bench.errors import UserError
from grape_bench.publish.card import CARD, Card, read_card
from grape_bench.publish.index import read_index
from grape_bench.record.content import parse_toml
from grape_bench.record.damage import checked
from grape_bench.record.manifest import SUITE
from grape_bench.record.record import RECORD, Record, parse_record
from grape_bench.record.regular_file import MOST_FILES, Largest, check_total, read_text
from grape_bench.record.table import CURVE, Table, parse_table

T = TypeVar("T")
RUNS, SOURCE = "runs", "source.py"
CONSTRAINTS = "constraints.txt"  # the exact versions of the packages behind the published rule's runs
CODE = "code"  # the user's own files with the modules that they import, in a folder per hash


@dataclass(frozen=True)
class Submission:
    """A publication. Records and curves are keyed by their job's folder; `damaged` says why others cannot be read."""

    folder: Path
    index: dict[str, Any]
    card: Card
    suite: dict[str, Any]
    records: dict[str, Record]
    curves: dict[str, Table]
    damaged: dict[str, str]
    damaged_curves: dict[str, str]

    @property
    def own(self) -> dict[str, Record]:
        """The records of the published rule."""
        return {name: r for name, r in self.records.items() if r.job.rule_name.label == self.card.name}


def read_submission(folder: Path) -> Submission:
    """The publication in `folder`. Raises UserError if its index, card or suite is missing."""
    index = read_index(folder)
    card = read_card(published_text(folder / CARD), str(folder / CARD))
    suite = read_suite(folder / SUITE)
    jobs = _jobs(folder / RUNS)
    check_total([job / RECORD for job in jobs], folder, Largest.ALL_PUBLISHED)
    check_total([job / CURVE for job in jobs], folder, Largest.ALL_CURVES)
    records, damaged = _all(jobs, RECORD, Largest.RECORD, parse_record)
    with_curve = [job for job in jobs if os.path.lexists(job / CURVE)]
    curves, damaged_curves = _all(with_curve, CURVE, Largest.TABLE, parse_table)
    return Submission(folder, index, card, suite, records, curves, damaged, damaged_curves)


def read_suite(path: Path) -> dict[str, Any]:
    """The content of suite.toml. Raises UserError if it is not TOML."""
    try:
        return parse_toml(published_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"TOML: {error}", where=str(path)) from error


def published_text(path: Path, largest: Largest = Largest.DOCUMENT) -> str:
    """The text of a file of the publication. Raises UserError."""
    try:
        return read_text(path, largest)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from error


def _jobs(runs: Path) -> list[Path]:
    """The jobs' folders, sorted by name, without links. Raises UserError if there are too many."""
    if runs.is_symlink() or not runs.is_dir():
        raise UserError("not a published folder: this is no folder", where=str(runs))
    jobs = list(islice((path for path in runs.iterdir() if path.is_dir() and not path.is_symlink()), MOST_FILES + 1))
    if len(jobs) > MOST_FILES:
        raise UserError(f"more than {MOST_FILES} jobs", where=str(runs))
    return sorted(jobs)


def _all(
    jobs: Sequence[Path], name: str, largest: Largest, parse: Callable[[str], T]
) -> tuple[dict[str, T], dict[str, str]]:
    """Parse the file `name` of each job: the results, and the reasons for failures, both by the job's folder."""
    found: dict[str, T] = {}
    failed: dict[str, str] = {}
    for job in jobs:
        try:
            with checked(job / name, ""):
                found[job.name] = parse(published_text(job / name, largest))
        except UserError as error:
            failed[job.name] = error.what
    return found, failed

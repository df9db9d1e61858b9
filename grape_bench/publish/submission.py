"""Read a published folder as data. Nothing in it is executed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from grape_bench.errors import UserError
from grape_bench.publish.card import CARD, Card, read_card
from grape_bench.publish.index import read_index
from grape_bench.record.damage import checked
from grape_bench.record.record import RECORD, Record, parse_record
from grape_bench.record.table import CURVE, Table, parse_table

T = TypeVar("T")
RUNS, SUITE, TABLE, SOURCE = "runs", "suite.toml", "table.csv", "source.py"
CONSTRAINTS = "constraints.txt"  # the exact versions of the packages behind the published rule's runs
CODE = "code"  # the user's own files with the modules that they import, in a folder per hash
REFERENCES = ("bp", "frozen", "head-only", "dfa")
LARGEST = 64 * 2**20  # bytes; larger files are refused


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
    card = read_card(read_text(folder / CARD), str(folder / CARD))
    suite = read_suite(folder / SUITE)
    jobs = sorted(path for path in (folder / RUNS).glob("*") if path.is_dir() and not path.is_symlink())
    records, damaged = _all(jobs, RECORD, parse_record)
    curves, damaged_curves = _all([job for job in jobs if (job / CURVE).exists()], CURVE, parse_table)
    return Submission(folder, index, card, suite, records, curves, damaged, damaged_curves)


def read_suite(path: Path) -> dict[str, Any]:
    """The content of suite.toml. Raises UserError if it is not TOML."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"TOML: {error}", where=str(path)) from error


def read_text(path: Path) -> str:
    """The text of a file of the publication. Links are refused, because they may point anywhere."""
    try:
        if path.is_symlink() or not path.is_file():
            raise OSError("not a file")
        if path.stat().st_size > LARGEST:
            raise OSError(f"over {LARGEST // 2**20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from error


def _all(jobs: Sequence[Path], name: str, parse: Callable[[str], T]) -> tuple[dict[str, T], dict[str, str]]:
    """Parse the file `name` of each job: the results, and the reasons for failures, both by the job's folder."""
    found: dict[str, T] = {}
    failed: dict[str, str] = {}
    for job in jobs:
        try:
            with checked(job / name, ""):
                found[job.name] = parse(read_text(job / name))
        except UserError as error:
            failed[job.name] = error.what
    return found, failed

"""A published folder as it was read: data only, nothing of it is executed."""

from __future__ import annotations

import csv
import json
import tomllib
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.publish.card import CARD, Card, read_card
from grape_bench.publish.index import read_index
from grape_bench.track.migrate import STEPS, migrated
from grape_bench.track.record import CURVE, RECORD, SCHEMA

RUNS, SUITE, TABLE, SOURCE = "runs", "suite.toml", "table.csv", "source.py"
REFERENCES = ("bp", "head-only", "dfa")
LARGEST = 64 * 2**20  # bytes of a file
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Submission:
    """`records` and `curves` by the names of their folders; a record that cannot be read is None."""

    folder: Path
    index: dict[str, Any]
    card: Card
    suite: dict[str, Any]
    records: dict[str, dict[str, Any] | None]
    curves: dict[str, Rows]

    @property
    def readable(self) -> dict[str, dict[str, Any]]:
        """The records that are JSON objects."""
        return {name: record for name, record in self.records.items() if record is not None}

    @property
    def own(self) -> dict[str, dict[str, Any]]:
        """Those of the published rule."""
        return {name: r for name, r in self.readable.items() if rule_name(str(r.get("rule"))) == self.card.name}


def rule_name(rule: str) -> str:
    """What a rule is published as: `path/my.py:MyRule+anchor` as `MyRule+anchor`."""
    from grape_bench.plan.job import rule_label

    return rule_label(rule)


def read_submission(folder: Path) -> Submission:
    """The publication in `folder`; raises UserError where it lacks its index, card or suite."""
    index = read_index(folder)
    card = read_card(read_text(folder / CARD), str(folder / CARD))
    try:
        suite = tomllib.loads(read_text(folder / SUITE))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"TOML: {error}", where=str(folder / SUITE)) from error
    jobs = sorted(path for path in (folder / RUNS).glob("*") if path.is_dir() and not path.is_symlink())
    records = {job.name: _record(job / RECORD) for job in jobs}
    curves = {job.name: _rows(job / CURVE) for job in jobs if (job / CURVE).exists()}
    return Submission(folder, index, card, suite, records, curves)


def read_text(path: Path) -> str:
    """The text of a file of the publication; a link may lead to anything, and is not followed."""
    try:
        if path.is_symlink() or not path.is_file():
            raise OSError("not a file")
        if path.stat().st_size > LARGEST:
            raise OSError(f"over {LARGEST // 2**20} MiB")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from error


def _record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(read_text(path))
    except (UserError, ValueError):
        return None
    if not isinstance(record, dict):
        return None
    try:
        return {**migrated(record, SCHEMA), "schema": record["schema"]} if record["schema"] in STEPS else record
    except (KeyError, TypeError):
        return record  # which the check of records will not pass


def _rows(path: Path) -> Rows:
    try:
        return list(csv.DictReader(StringIO(read_text(path), newline="")))
    except (UserError, csv.Error):
        return []  # as if there were none, which the check of curves does not pass

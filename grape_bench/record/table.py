"""The tables next to a record: curve.csv (a row per epoch) and diagnostics.csv (a row per block and moment)."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from grape_bench.record.damage import checked
from grape_bench.record.record import HINT, Record
from grape_bench.record.regular_file import Largest, read_text
from grape_bench.record.rule_name import FROZEN
from grape_bench.record.status import Status
from grape_bench.record.typed_json import ShapeError
from grape_bench.record.write import replacing

CURVE, DIAGNOSTICS = "curve.csv", "diagnostics.csv"
HIDDEN, NETWORK = "(hidden)", "(network)"
"""The last two rows of each moment in diagnostics.csv: all blocks together, and all parameters including the head's."""
_CURVE_COLUMNS = ("epoch", "samples", "seconds", "train_loss")


def validation_column(metric: str) -> str:
    """The column of curve.csv that holds `metric` on the validation split."""
    return f"validation_{metric}"


@dataclass(frozen=True)
class Table:
    """A CSV file: each row as {column: string}, and the whole file as `text`."""

    text: str
    rows: list[dict[str, str]]

    @property
    def columns(self) -> list[str]:
        """The column names."""
        return list(self.rows[0]) if self.rows else []


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` to `path` as CSV. The columns are the union of all rows' keys; a missing value is an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _short(value) for name, value in row.items()} for row in rows)


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append `row` to the CSV file at `path`. A new file starts with the column names."""
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)


def read_curve(folder: Path, record: Record) -> Table | None:
    """The curve of `record` in its job's `folder`, or None if the job ended during its first epoch.

    Raises DamagedError if the curve is incomplete: its epochs and samples must match the record.
    """
    path = folder / CURVE
    if not path.is_file() or not (path.stat().st_size or _epochs_end(record)):
        return None
    if not record.status.is_result:
        return _rows_before_the_end(path)
    with checked(path, HINT):
        table = parse_table(read_text(path, Largest.TABLE))
        check_curve(table, record)
    return table


def _rows_before_the_end(path: Path) -> Table | None:
    """The complete rows of a failed job, whose last row may be cut off; None if there are none."""
    try:
        whole, newline, _ = read_text(path, Largest.TABLE).rpartition("\n")
        table = parse_table(whole + newline)
    except ValueError:
        return None
    return table if table.rows else None


def read_diagnostics(folder: Path, record: Record) -> Table | None:
    """The rows of `record`'s diagnostics.csv, or None. Raises DamagedError if some are missing."""
    path = folder / DIAGNOSTICS
    taken = record.diagnostics.moments if record.diagnostics else 0
    if not path.is_file() or not record.status.is_result or not (path.stat().st_size or taken):
        return None
    with checked(path, HINT):
        table = parse_table(read_text(path, Largest.TABLE))
        _check_diagnostics(table, taken)
    return table


def parse_table(text: str) -> Table:
    """The table in `text`. Raises ShapeError if a row and the header differ in length."""
    if not text.endswith("\n"):
        raise ShapeError("its last line is cut off")
    try:
        head, *lines = list(csv.reader(StringIO(text, newline=""), strict=True))
    except (csv.Error, ValueError) as error:
        raise ShapeError(f"it is not CSV ({error})") from error
    if len(set(head)) < len(head):
        raise ShapeError("a column appears twice")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(head):
            raise ShapeError(f"line {number} has {len(line)} values, but the header has {len(head)}")
    return Table(text, [dict(zip(head, line, strict=True)) for line in lines])


def check_curve(table: Table, record: Record) -> None:
    """Raise ShapeError unless `table` is the complete curve of `record`."""
    metric = record.metric.name if record.metric else ""
    # A perplexity follows from the loss.
    needed = [*_CURVE_COLUMNS, *([validation_column(metric)] if metric not in ("", "perplexity") else [])]
    if missing := [name for name in needed if name not in table.columns]:
        raise ShapeError(f"the column {missing[0]} is missing, or there are no rows")
    rows = [{name: _number(name, text) for name, text in row.items()} for row in table.rows]
    _check_moments(rows, record)
    if record.time and rows[-1]["samples"] != record.time.samples:
        raise ShapeError(f"it ends after {rows[-1]['samples']:.0f} samples, but the record has {record.time.samples}")


def _check_moments(rows: list[dict[str, float]], record: Record) -> None:
    """Raise ShapeError unless there is a row for every evaluation: after each epoch, or every few steps.

    The control `frozen` has one, since it fits its head and takes no steps.
    """
    job, finished = record.job, record.status is Status.FINISHED
    if job.rule == FROZEN:
        if len(rows) != 1:
            raise ShapeError(f"it has {len(rows)} rows, but a head that is fitted has one")
        return
    if job.steps is None and job.evaluate_every is None:
        if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
            raise ShapeError("the epochs are not 1, 2, 3, ...")
        if finished and len(rows) != job.epochs:
            raise ShapeError(f"it has {len(rows)} epochs, but the job has {job.epochs}")
        return
    steps = [row.get("step", math.nan) for row in rows]
    if not all(earlier < later for earlier, later in pairwise([0, *steps])):
        raise ShapeError("the steps do not increase")
    if finished and job.steps and steps[-1] != job.steps:
        raise ShapeError(f"it ends after step {steps[-1]:.0f}, but the job has {job.steps}")
    if finished and job.evaluate_every and len(rows) != -(-int(steps[-1]) // job.evaluate_every):
        raise ShapeError(f"it has {len(rows)} rows for an evaluation every {job.evaluate_every} steps")


def _check_diagnostics(table: Table, taken: int) -> None:
    if missing := [name for name in ("step", "samples", "block") if name not in table.columns]:
        raise ShapeError(f"the column {missing[0]} is missing, or there are no rows")
    blocks: dict[str, list[str]] = {}
    for row in table.rows:
        blocks.setdefault(row["step"], []).append(row["block"])
        for name, text in row.items():
            if name != "block" and text:
                _number(name, text)
    if taken and len(blocks) != taken:
        raise ShapeError(f"it has {len(blocks)} moments, but the record has {taken}")
    first, *others = blocks.values()
    if first[-1] != NETWORK or any(other != first for other in others):
        raise ShapeError("a moment lacks some of the blocks")


def _epochs_end(record: Record) -> bool:
    """Whether the record shows a finished epoch."""
    return record.time is not None and record.time.samples > 0


def _number(name: str, text: str) -> float:
    """The number in a CSV field; NaN if the field is empty."""
    try:
        return float(text) if text else math.nan
    except ValueError as error:
        raise ShapeError(f"{text[:20]!r} in the column {name} is not a number") from error


def _short(value: Any) -> Any:
    return f"{value:.7g}" if isinstance(value, float) else value

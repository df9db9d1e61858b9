"""Every number of the table comes out again from the records."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import pandas as pd

from grape_bench.errors import UserError
from grape_bench.publish.submission import TABLE, Submission, read_text
from grape_bench.report import csv
from grape_bench.score.table import score


def problems(submission: Submission) -> Iterator[str]:
    """`table.csv` against the table of these records, cell by cell, to the last printed digit."""
    try:
        computed = csv.text(score(submission.records.values()))
    except (UserError, ValueError, ZeroDivisionError) as error:
        yield f"the records cannot be scored: {error}"
        return
    try:
        published = read_text(submission.folder / TABLE)
    except UserError as error:
        yield f"{TABLE} {error.what}"
        return
    if published != computed:
        yield from _differences(published, computed)


def _differences(published: str, computed: str) -> Iterator[str]:
    said, found = (pd.read_csv(StringIO(text), dtype=str, keep_default_na=False) for text in (published, computed))
    keys = ["task", "rule"]
    if list(said.columns) != list(found.columns) or not said[keys].equals(found[keys]):
        yield f"{TABLE} has other rows or columns than the records give"
        return
    for row, column in zip(*(said != found).to_numpy().nonzero(), strict=True):
        where = f"{said['task'][row]}, {said['rule'][row]}"
        name = said.columns[column]
        yield f"{where}: {name} = {said.iloc[row, column]}, from the records {found.iloc[row, column]}"

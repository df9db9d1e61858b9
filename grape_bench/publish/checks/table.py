"""The records reproduce every number of the table."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import pandas as pd

from grape_bench.errors import UserError
from grape_bench.publish.submission import Submission, published_text
from grape_bench.record.regular_file import Largest
from grape_bench.report import csv
from grape_bench.score.table import score

LATER = ("metric", "value", "value_ci")
"""Columns that older publications lack."""


def problems(submission: Submission) -> Iterator[str]:
    """Compare `table.csv` with the table of these records, value by value, to the last printed digit."""
    try:
        computed = csv.scores_text(score(submission.records.values()))
    except (UserError, ValueError, ZeroDivisionError) as error:
        yield f"the records cannot be scored: {error}"
        return
    try:
        published = published_text(submission.folder / csv.TABLE, Largest.TABLE)
    except UserError as error:
        yield f"{csv.TABLE}: {error.what}"
        return
    if "score_version" not in published.partition("\n")[0]:
        yield f"{csv.TABLE} has scores of version 1, which this grape-bench no longer computes: publish the runs again"
        return
    if published != computed:
        yield from _differences(published, computed)


def _differences(published: str, computed: str) -> Iterator[str]:
    theirs, ours = (pd.read_csv(StringIO(text), dtype=str, keep_default_na=False) for text in (published, computed))
    empty = [name for name in csv.ALWAYS if (ours[name] == "").all()]
    ours = ours.drop(columns=[name for name in (*LATER, *empty) if name not in theirs])
    keys = ["task", "rule"]
    if list(theirs.columns) != list(ours.columns) or not theirs[keys].equals(ours[keys]):
        yield f"the rows or columns of {csv.TABLE} differ from those of the records"
        return
    for row, column in zip(*(theirs != ours).to_numpy().nonzero(), strict=True):
        where = f"{theirs['task'][row]}, {theirs['rule'][row]}"
        name = theirs.columns[column]
        yield f"{where}: {name} = {theirs.iloc[row, column]}, but the records give {ours.iloc[row, column]}"

"""Matrices as tables of coloured cells: they can be read by eye, by keyboard and by a screen reader alike."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from grape_bench.report.columns import labels
from grape_bench.report.figures.ranks import by_mean
from grape_bench.score.results import Results


class Shade(NamedTuple):
    """A cell: its text, and how far it is from the middle, from -1 to 1 (None: nothing to show)."""

    text: str
    strength: float | None


class Matrix(NamedTuple):
    """Headings of columns, and rows of (heading, cells)."""

    columns: list[str]
    rows: list[tuple[str, list[Shade]]]


def better(results: Results) -> Matrix:
    """P(row beats column) in percent with the mean rank first, the best rule on top."""
    names, table = labels(results.rules), by_mean(results)
    order, ranks = list(table.index), table.mean(axis=1, skipna=False)
    rows = []
    for rule in order:
        rank = Shade("–" if pd.isna(ranks[rule]) else f"{ranks[rule]:.1f}", None)
        values = results.better.loc[rule, order].astype(float)
        rows.append((names[rule], [rank, *(_shade(100 * p, 2 * p - 1, 0) for p in values)]))
    return Matrix(["mean rank", *(names[rule] for rule in order)], rows)


def alignment(cosines: pd.DataFrame) -> Matrix:
    """Blocks (rows, the last one on top, as the network is drawn) by training samples."""
    columns = [f"{samples:,.0f}" for samples in cosines.columns.astype(float)]
    rows = [(str(block), [_shade(c, c, 2) for c in cosines.loc[block].astype(float)]) for block in cosines.index[::-1]]
    return Matrix(columns, rows)


def _shade(value: float, strength: float, digits: int) -> Shade:
    return Shade("", None) if pd.isna(value) else Shade(f"{value:z.{digits}f}", round(float(strength), 3))

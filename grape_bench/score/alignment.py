"""The alignment of each block's signal with the true gradient over training."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grape_bench.score.cell import Grid
from grape_bench.score.diagnostic_columns import DIAGNOSTICS
from grape_bench.score.quantity import Quantity

COSINE, NULL = DIAGNOSTICS[:2]
Maps = Mapping[tuple[str, str], pd.DataFrame]


def maps(grid: Grid, diagnostics: Mapping[str, pd.DataFrame], quantity: Quantity = COSINE) -> Maps:
    """(task, rule) -> `quantity` of each block over training, (blocks, training samples), mean over seeds.

    `COSINE` is between the signal and the true gradient, `NULL` the size of that cosine for fresh random feedback.
    Holds only what was measured, without BP, whose cosine is always 1. `diagnostics` maps a record id to its rows.
    """
    found = {}
    for key, cell in grid.items():
        of_seeds = [diagnostics[record.id] for record in cell.results if record.id in diagnostics]
        of_seeds = [rows for rows in of_seeds if quantity.name in rows]
        if key[1] in ("bp", "bp:open") or not of_seeds:
            continue
        rows = pd.concat([one[["block", "samples", quantity.name]] for one in of_seeds])
        rows = rows[rows[quantity.name].notna()]
        blocks = list(dict.fromkeys(rows["block"]))
        if blocks:
            found[key] = rows.groupby(["block", "samples"])[quantity.name].mean().unstack().loc[blocks]
    return found

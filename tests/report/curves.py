"""Synthetic learning curves for synthetic records."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grape_bench.record.record import Record


def curve(end: float, epochs: int = 20) -> pd.DataFrame:
    """The rows of a curve.csv whose validation accuracy rises to `end` percent."""
    epoch = np.arange(1, epochs + 1)
    rise = end - (end - 20) * np.exp(-epoch / 3)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "samples": epoch * 1000,
            "seconds": epoch * 0.5,
            "train_loss": 1 / epoch,
            "validation_loss": 1 / epoch,
            "validation_accuracy": rise,
        }
    )


def curves(records: list[Record]) -> dict[str, pd.DataFrame]:
    """Record id -> curve, for every record with a result."""
    return {r.id: curve(r.result.test, 1 if r.rule == "frozen" else 20) for r in records if r.result}

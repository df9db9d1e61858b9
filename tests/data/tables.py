"""Small tables of columns for the tests."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def write_columns(folder: Path, train: dict[str, Any], test: dict[str, Any] | None = None, **more: Any) -> str:
    """Write a Parquet file per split, and return the data set's id. Without `test`, it is the training split."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, columns in {"train": train, "test": test or train, **more}.items():
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
    return f"parquet:{folder}"

"""The data set ids. Checking them does not import torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from grape_bench.errors import UserError, unknown
from grape_bench.registry import Builtin, Registry, is_file_reference, split_file_reference

if TYPE_CHECKING:
    from grape_bench.data.dataset import DataSet

NAMED = (
    "mnist",
    "fashion_mnist",
    "cifar10",
    "cifar100",
    "tinyshakespeare",
    "wikitext2",
    "wikitext103",
    "sst2",
    "cora",
    "adult",
    "pictures",
    *(f"ucr_{name}" for name in ("arrowhead", "gunpoint", "italypowerdemand", "japanesevowels")),
    *(f"uci_{name}" for name in ("concrete", "energy", "kin8nm", "naval", "protein", "yacht")),
)
"""Data sets in `$GRAPE_BENCH_DATA` or on the Hub. `named.NAMED` defines how to read each of them."""

VARIABLE = "GRAPE_BENCH_DATA"

DATASETS: Registry[Callable[..., DataSet]] = Registry(
    "data set",
    {
        "digits": Builtin("grape_bench.data.digits:load"),
        "diabetes": Builtin("grape_bench.data.diabetes:load"),
        "mnist1d": Builtin("grape_bench.data.mnist1d:load"),
        "adding": Builtin("grape_bench.data.adding:load"),
        "copy": Builtin("grape_bench.data.copying:load"),
        "temporal_order": Builtin("grape_bench.data.temporal_order:load"),
        "yin_yang": Builtin("grape_bench.data.yin_yang:load"),
        **{name: Builtin(f"grape_bench.data.named:{name}") for name in NAMED},
    },
    group="grape_bench.data",
)
"""Data sets with a short name, called as `load(args=..., device=...)`.

Raise `numerics` of each data set whose numbers change (a split, a normalization). Exactly its jobs then run again.
"""

SOURCES: Registry[Callable[..., DataSet]] = Registry(
    "data source",
    {
        "parquet": Builtin("grape_bench.data.parquet:load"),
        "hf": Builtin("grape_bench.data.hub:load"),
        "csv": Builtin("grape_bench.data.csv:load"),
        "imagefolder": Builtin("grape_bench.data.hub:load_folder"),
        "ts": Builtin("grape_bench.data.time_series:load"),
        "wav": Builtin("grape_bench.data.sound:load"),
    },
    group="grape_bench.data_sources",
)
"""Sources of other data sets, written `source:name`: called as `load(name, args=..., device=...)`.

A source has one `numerics` for all its data sets.
"""

LOCAL = {"parquet": ".parquet", "csv": ".csv", "ts": ".ts", "wav": ".wav"}
"""Sources that read only the files with this suffix in a folder."""

EXAMPLES = {
    "parquet": "parquet:path/to/folder",
    "hf": "hf:owner/name",
    "csv": "csv:path/to/folder",
    "imagefolder": "imagefolder:path/to/folder",
    "ts": "ts:path/to/folder",
    "wav": "wav:path/to/folder",
}


def named_folder(name: str) -> Path | None:
    """The folder `$GRAPE_BENCH_DATA/NAME` of a data set in `NAMED`, if there is one."""
    root = os.environ.get(VARIABLE)
    folder = Path(root).expanduser() / name if root and name in NAMED else None
    return folder if folder is not None and folder.is_dir() else None


def split_source(dataset_id: str) -> tuple[str, str]:
    """Split `"parquet:a/b"` into `("parquet", "a/b")` and `"digits"` into `("", "digits")`. A file has no source."""
    if is_file_reference(dataset_id):
        return "", dataset_id
    source, colon, name = dataset_id.partition(":")
    return (source, name) if colon else ("", dataset_id)


def check_name(dataset_id: str) -> None:
    """Raise UserError if `dataset_id` cannot be the name of a data set. Imports no torch and reads no file."""
    if is_file_reference(dataset_id):
        split_file_reference(dataset_id)
        return
    source, name = split_source(dataset_id)
    if not source:
        if name not in DATASETS:
            raise unknown("data set", name, DATASETS, hint=f"{' or '.join(EXAMPLES.values())} or file.py:loader")
        return
    if source not in SOURCES:
        raise unknown("data source", source, SOURCES, where=dataset_id)
    if not name:
        raise UserError("the name after the source is missing", where=repr(dataset_id), hint=EXAMPLES.get(source, ""))

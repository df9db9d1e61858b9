"""The data set ids. Checking them does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from grape_bench.errors import UserError, unknown
from grape_bench.registry import Builtin, Registry

if TYPE_CHECKING:
    from grape_bench.data.dataset import DataSet

DATASETS: Registry[Callable[..., DataSet]] = Registry(
    "data set",
    {
        "digits": Builtin("grape_bench.data.digits:load"),
        "diabetes": Builtin("grape_bench.data.diabetes:load"),
        "mnist1d": Builtin("grape_bench.data.mnist1d:load"),
        "mnist": Builtin("grape_bench.data.named:mnist"),
        "fashion_mnist": Builtin("grape_bench.data.named:fashion_mnist"),
        "cifar10": Builtin("grape_bench.data.named:cifar10"),
        "cifar100": Builtin("grape_bench.data.named:cifar100"),
    },
    group="grape_bench.data",
)
"""Data sets with a short name, called as `load(args=..., device=...)`.

Raise `numerics` of each data set whose numbers change (a split, a normalization): exactly its jobs then run again.
"""

SOURCES: Registry[Callable[..., DataSet]] = Registry(
    "data source",
    {"parquet": Builtin("grape_bench.data.parquet:load"), "hf": Builtin("grape_bench.data.hub:load")},
    group="grape_bench.data_sources",
)
"""Where other data sets come from, written `source:name`: called as `load(name, args=..., device=...)`.

A source has one `numerics` for all its data sets.
"""

EXAMPLES = {"parquet": "parquet:path/to/folder", "hf": "hf:owner/name"}


def split_source(dataset_id: str) -> tuple[str, str]:
    """Split `"parquet:a/b"` into `("parquet", "a/b")` and `"digits"` into `("", "digits")`."""
    source, colon, name = dataset_id.partition(":")
    return (source, name) if colon else ("", dataset_id)


def check_name(dataset_id: str) -> None:
    """Raise UserError if `dataset_id` cannot name a data set. Imports no torch and reads no file."""
    source, name = split_source(dataset_id)
    if not source:
        if name not in DATASETS:
            raise unknown("data set", name, DATASETS, hint=" or ".join(EXAMPLES.values()))
        return
    if source not in SOURCES:
        raise unknown("data source", source, SOURCES, where=dataset_id)
    if not name:
        raise UserError("the name after the source is missing", where=repr(dataset_id), hint=EXAMPLES.get(source, ""))

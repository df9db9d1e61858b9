"""Stores that records are copied to: their base class, and how a `--tracking-uri` selects one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError, redacted
from grape_bench.record.job import Job
from grape_bench.record.record import Record
from grape_bench.registry import Registry, is_file_reference


@dataclass(frozen=True)
class Sweep:
    """The runs of one suite in one output folder. In MLflow, a sweep is the parent run of all its jobs."""

    suite: str
    version: str
    id: str  # stored in the manifest, so that a resumed sweep uses the same MLflow runs
    folder: Path


class Store:
    """Base class. One sweep in one store. A background thread makes it and calls it while the jobs run.

    An error becomes a warning at the end, and no job is lost: the records on disk are the source of truth.
    """

    note: str = ""
    """Something that the user should know, such as about a damaged database."""
    place: str = ""
    """Where the runs are: an address, or the command that shows them."""

    def __init__(self, uri: str, sweep: Sweep) -> None:
        self.uri, self.sweep = uri, sweep

    def add(self, record: Record) -> bool:
        """Copy a job that has ended, unless it is already there. Returns whether it was copied now.

        Its files are in `self.sweep.folder / record.name`.
        """
        raise NotImplementedError

    def follow(self, job: Job, row: Mapping[str, Any]) -> None:
        """Show the latest evaluation of a job that still runs. `row` is one of curve.csv."""

    def attach(self, folder: Path) -> None:
        """Upload the files in `folder`, which describe the whole sweep."""

    def close(self, complete: bool) -> None:
        """End the sweep. `complete`: no job is left to run."""


OpenStore = Callable[[str, Sweep], Store]

STORES: Registry[type[Store]] = Registry(
    "store",
    {
        "mlflow": "grape_bench.track.mlflow:MlflowStore",
        "tensorboard": "grape_bench.track.tensorboard:TensorBoardStore",
    },
    "grape_bench.stores",
)


def store_class(uri: str) -> type[Store]:
    """The class that opens `uri`: that of `NAME:...`, of `path/to/file.py:MyStore`, and otherwise MLflow's.

    Raises UserError if the file has no such class.
    """
    name = uri if is_file_reference(uri) else uri.partition(":")[0]
    found = STORES.get(name if is_file_reference(name) or name in STORES else "mlflow")
    if not (isinstance(found, type) and issubclass(found, Store)):
        raise UserError("this is not a Store", where=redacted(uri), hint="class MyStore(grape_bench.Store): ...")
    return found

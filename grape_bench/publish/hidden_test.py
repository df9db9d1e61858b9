"""A copy of a job's data in which the test split is replaced by training samples.

A rule that trains on this copy cannot read the samples that it will be scored on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grape_bench.data.files import split_files
from grape_bench.data.named import NAMED
from grape_bench.data.names import VARIABLE, named_folder
from grape_bench.data.tables import standard_split
from grape_bench.record.job import Job


@dataclass(frozen=True)
class View:
    """The data that a process may read, and why it could see the test split ("" if it cannot)."""

    environment: Mapping[str, str]
    readable: tuple[Path, ...]
    visible: str


def whole(job: Job) -> View:
    """All data of the job, test split included."""
    folders = [Path(name.removeprefix("local-dir:")).expanduser().absolute() for name in _local(job)]
    named = named_folder(job.dataset)
    variable = {VARIABLE: str(named.parent.absolute())} if named else {}
    return View(variable, (*folders, *([named.absolute()] if named else [])), "")


def hidden(job: Job, folder: Path) -> View:
    """The data of the job without its test split. `folder` is new, and gets the stand-in.

    A data set that ships inside a library, a graph and a local folder cannot be hidden; `View.visible` says so.
    """
    full = whole(job)
    source = named_folder(job.dataset)
    if source is None:
        return View(full.environment, full.readable, f"{job.dataset} is not a named data set in ${VARIABLE}")
    if (source / "graph.parquet").exists():
        return View(full.environment, full.readable, f"{job.dataset} is one graph with all labels")
    splits = split_files(source, "parquet", where=job.dataset)
    asked = job.dataset_args.get("test_split", NAMED[job.dataset].args.get("test_split", "test"))
    test = splits.pop(standard_split(str(asked)))
    target = folder / job.dataset
    target.mkdir(parents=True)
    kept = [file for files in splits.values() for file in files]
    for file in kept:
        link = target / file.relative_to(source)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(file.resolve())
    _write_stand_in(splits["train"], test, target)
    readable = [path for path in full.readable if path != source.absolute()]
    return View({VARIABLE: str(folder)}, (folder, *readable, *(file.resolve() for file in kept)), "")


def _write_stand_in(train: tuple[Path, ...], test: tuple[Path, ...], target: Path) -> None:
    """Write the first rows of `train`, as many as `test` has, under the name of the first file of `test`."""
    import pyarrow.dataset as arrow
    import pyarrow.parquet as parquet

    rows = arrow.dataset(test, format="parquet").count_rows()
    table = arrow.dataset(train, format="parquet").head(rows)
    parquet.write_table(table, target / f"{test[0].stem.partition('-')[0]}.parquet")


def _local(job: Job) -> list[str]:
    """The local folders and files that the job names, without their configurations."""
    return [name.removesuffix(f":{content.partition(':')[2]}") for _, name, content in job.named()]

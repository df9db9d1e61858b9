"""The folder of one suite's runs: a manifest, and a folder per job."""

from __future__ import annotations

from pathlib import Path

from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, read_entries
from grape_bench.record.record import RECORD, Record, read_record


def own_record(job: Job, folder: Path) -> Record | None:
    """The record of `job` below the suite's `folder`, however it ended; None where there is none.

    Raises DamagedError.
    """
    path = folder / job.name / RECORD
    if not path.is_file():
        return None
    record = read_record(path)
    return record if record.id == job.id else None


def read_records(folder: Path) -> list[Record]:
    """The records below the suite's `folder`, in the order of its manifest; raises DamagedError.

    With a manifest only its jobs count, so that runs of earlier settings are not mixed in. Without one every record
    does, in the order of the folders' names.
    """
    if not (folder / MANIFEST).is_file():
        return [read_record(path) for path in sorted(folder.glob(f"*/{RECORD}"))]
    entries = {entry.name: entry.id for entry in read_entries(folder / MANIFEST)}
    records = [read_record(path) for name in entries if (path := folder / name / RECORD).is_file()]
    return [record for record in records if record.id == entries.get(record.name)]


def runs_folder(folder: Path) -> Path:
    """`folder`, or `folder/runs` where that is where the records are (as in a published table)."""
    if not any(folder.glob(f"*/{RECORD}")) and any((folder / "runs").glob(f"*/{RECORD}")):
        return folder / "runs"
    return folder

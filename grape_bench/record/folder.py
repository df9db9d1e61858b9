"""Read the folder of one suite's runs, which has a manifest and one folder per job."""

from __future__ import annotations

from pathlib import Path

from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, read_entries
from grape_bench.record.record import RECORD, Record, read_record


def own_record(job: Job, folder: Path) -> Record | None:
    """The record of `job` in the suite's `folder`, whatever its status, or None.

    Raises DamagedError.
    """
    path = folder / job.name / RECORD
    if not path.is_file():
        return None
    record = read_record(path)
    return record if record.id == job.id else None


def read_records(folder: Path) -> list[Record]:
    """The records in the suite's `folder`, in the order of its manifest. Raises DamagedError.

    Only the manifest's jobs count, which leaves out runs with earlier settings. Without a manifest every record counts,
    in the order of the folders' names.
    """
    if not (folder / MANIFEST).is_file():
        return [read_record(path) for path in sorted(folder.glob(f"*/{RECORD}"))]
    entries = {entry.name: entry.id for entry in read_entries(folder / MANIFEST)}
    records = [read_record(path) for name in entries if (path := folder / name / RECORD).is_file()]
    return [record for record in records if record.id == entries.get(record.name)]


def runs_folder(folder: Path) -> Path:
    """`folder`, or `folder/runs` if the records are there, as in a published table."""
    if not any(folder.glob(f"*/{RECORD}")) and any((folder / "runs").glob(f"*/{RECORD}")):
        return folder / "runs"
    return folder

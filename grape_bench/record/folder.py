"""Read the folder of one suite's runs, which has a manifest and one folder per job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, Manifest, read_entries, read_manifest
from grape_bench.record.record import RECORD, Record, read_record
from grape_bench.record.shared import Sharing


def own_record(job: Job, folder: Path) -> Record | None:
    """The record of `job` in the suite's `folder`, whatever its status, or None.

    Raises DamagedError.
    """
    path = folder / job.name / RECORD
    if not path.is_file():
        return None
    record = read_record(path)
    return record if record.id == job.id else None


@dataclass(frozen=True)
class Found:
    """The records of a folder that share a table, and the others with the overrides that they needed."""

    records: list[Record]
    others: list[tuple[Record, tuple[str, ...]]]

    @property
    def note(self) -> str:
        """What the table leaves out, in a line; empty if that is nothing."""
        counts = Counter(" ".join(f"--set {one}" for one in overrides) for _, overrides in self.others)
        named = [f"{count} with {how or 'other settings or code'}" for how, count in counts.items()]
        return f"other records in this folder, not in this table: {', '.join(named)}" if named else ""


def read_every_record(folder: Path) -> list[Record]:
    """The records in the suite's `folder`, in the order of its manifest. Raises DamagedError.

    Without a manifest, the order is that of the folders' names.
    """
    if not (folder / MANIFEST).is_file():
        return [read_record(path) for path in sorted(folder.glob(f"*/{RECORD}"))]
    entries = {entry.name: entry.id for entry in read_entries(folder / MANIFEST)}
    records = [read_record(path) for name in entries if (path := folder / name / RECORD).is_file()]
    return [record for record in records if record.id == entries.get(record.name)]


def find_records(folder: Path, wanted: Collection[str] = ()) -> Found:
    """The records in the suite's `folder` that share a table with the jobs `wanted` (ids). Raises DamagedError.

    See `Sharing.choose`. Without a manifest, all records share a table.
    """
    every = read_every_record(folder)
    if not (folder / MANIFEST).is_file():
        return Found(every, [])
    manifest = read_manifest(folder / MANIFEST)
    results = {record.id for record in every if record.status.is_result}
    sharing = Sharing(manifest.planned, results, wanted)
    chosen = {job.id for job in sharing.choose([record.job for record in every])}
    others = [(record, manifest.when(record.id).overrides) for record in every if record.id not in chosen]
    return Found([record for record in every if record.id in chosen], others)


def table_jobs(manifest: Manifest, folder: Path) -> list[Job]:
    """The jobs of the folder's table, with or without a record. Raises DamagedError."""
    results = {record.id for record in read_every_record(folder) if record.status.is_result}
    return Sharing(manifest.planned, results).choose(manifest.jobs)


def read_records(folder: Path) -> list[Record]:
    """The records in the suite's `folder` that share its table, in the order of its manifest. Raises DamagedError."""
    return find_records(folder).records


def runs_folder(folder: Path) -> Path:
    """`folder`, or `folder/runs` if the records are there, as in a published table."""
    if not any(folder.glob(f"*/{RECORD}")) and any((folder / "runs").glob(f"*/{RECORD}")):
        return folder / "runs"
    return folder

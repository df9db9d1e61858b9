"""Read the folder of one suite's runs, which has a manifest and one folder per job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.record.collection import paused_collection
from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, WITHOUT_TUNING, Manifest, options, read_entries
from grape_bench.record.record import RECORD, Record, read_record
from grape_bench.record.regular_file import MOST_FILES, Largest, check_total
from grape_bench.record.shared import TableChooser


def own_record(job: Job, folder: Path) -> Record | None:
    """The record of `job` in the suite's `folder`, with any status, or None.

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
    def untuned(self) -> list[Record]:
        """The others that differ only in `--untuned`."""
        return [record for record, overrides in self.others if overrides == (WITHOUT_TUNING,)]

    @property
    def note(self) -> str:
        """One line on the records that the table leaves out; empty if there are none."""
        counts = Counter(options(overrides) for _, overrides in self.others)
        named = [f"{count} with {how or 'other settings or code'}" for how, count in counts.items()]
        return f"other records in this folder, not in this table: {', '.join(named)}" if named else ""


@dataclass(frozen=True)
class Recorded:
    """Everything that is recorded in a folder: its records and its manifest, if it has one."""

    records: list[Record]
    manifest: Manifest | None

    def jobs(self, wanted: Collection[str] = ()) -> list[Job]:
        """The planned jobs that share a table with the jobs `wanted` (ids): see `TableChooser.choose`."""
        assert self.manifest is not None
        results = {record.id for record in self.records if record.status.is_result}
        return TableChooser(self.manifest.planned, results, wanted).choose(self.manifest.jobs)

    def found(self, wanted: Collection[str] = ()) -> Found:
        """The records of `jobs(wanted)`. Without a manifest, all records share a table."""
        if self.manifest is None:
            return Found(self.records, [])
        manifest = self.manifest
        chosen = {job.name: job for job in self.jobs(wanted)}
        by_age = sorted(manifest.jobs, key=lambda job: manifest.when(job.id).order)
        rules = {job.rule_name.label: job.rule for job in by_age}
        current = [
            _named(record, rules[record.job.rule_name.label])
            for record in self.records
            if record.name in chosen and chosen[record.name].is_current(record.job)
        ]
        names = {record.name for record in current}
        others = [(r, manifest.when(r.id).overrides) for r in self.records if r.name not in names]
        return Found(current, others)


def _named(record: Record, rule: str) -> Record:
    """`record` with its rule called `rule`, so that a rule whose file has moved still gets one row."""
    return record if record.job.rule == rule else replace(record, job=replace(record.job, rule=rule))


def read_folder(folder: Path, task: str = "") -> Recorded:
    """Everything in the suite's `folder`, in the order of its manifest. Raises DamagedError.

    Without a manifest, the order is that of the folders' names. With `task`, records of other tasks may be left out.
    """
    if not (folder / MANIFEST).is_file():
        return Recorded([read_record(path) for path in record_files(folder)], None)
    manifest, listed = read_entries(folder / MANIFEST)
    entries = {entry.name: entry.id for entry in listed}
    of_task = (name for name in entries if not task or name.startswith(f"{task}."))
    paths = [path for name in of_task if (path := folder / name / RECORD).is_file()]
    check_total(paths, folder, Largest.ALL_RECORDS)
    with paused_collection():
        records = [read_record(path) for path in paths]
    return Recorded([record for record in records if record.id == entries.get(record.name)], manifest)


def record_files(folder: Path) -> list[Path]:
    """The record.json of every job in the suite's `folder`, by name. Raises UserError if they are too many or large."""
    paths = sorted(islice(folder.glob(f"*/{RECORD}"), MOST_FILES + 1))
    if len(paths) > MOST_FILES:
        raise UserError(f"this folder has more than {MOST_FILES} jobs", where=str(folder))
    check_total(paths, folder, Largest.ALL_PUBLISHED)
    return paths


def read_records(folder: Path) -> list[Record]:
    """The records in the suite's `folder` that share its table, in the order of its manifest. Raises DamagedError."""
    return read_folder(folder).found().records


def runs_folder(folder: Path) -> Path:
    """`folder`, or `folder/runs` if the records are there, as in a published table."""
    if not any(folder.glob(f"*/{RECORD}")) and any((folder / "runs").glob(f"*/{RECORD}")):
        return folder / "runs"
    return folder

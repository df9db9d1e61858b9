"""Merges folders of one suite: the shards of a plan, or runs from several machines."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.execute.folder import check_folder, locked, make_folder
from grape_bench.execute.resume import whole_record
from grape_bench.record.folder import read_folder
from grape_bench.record.job import Job
from grape_bench.record.manifest import MANIFEST, SUITE, Manifest, read_manifest
from grape_bench.record.record import Record
from grape_bench.record.write import new_folder


@dataclass(frozen=True)
class _Found:
    """A record and the folder of its suite."""

    record: Record
    folder: Path


def merge(sources: Sequence[Path], target: Path) -> Manifest:
    """Copy the jobs in the tables of `sources` to `target`, which may already have jobs. Returns the merged manifest.

    Raises UserError before writing anything if the folders conflict: different suites, different settings for the same
    task, rule and seed, or different results of one job.
    """
    check_folder(target)
    folders = [target, *sources] if (target / MANIFEST).is_file() else list(sources)
    manifests = [read_manifest(folder / MANIFEST) for folder in folders]
    _check_suites(manifests, folders)
    jobs = _jobs([read_folder(folder).jobs() for folder in folders], folders)
    chosen = [_choose(job, folders) for job in jobs]
    make_folder(target)
    with locked(target):
        for found in chosen:
            if found and found.folder != target:
                _copy(found.folder / found.record.name, target)
        merged = manifests[0].joined(jobs) if folders[0] == target else _new(manifests[0], jobs)
        merged.write(target)
        if folders[0] != target:
            shutil.copyfile(folders[0] / SUITE, target / SUITE)
    return merged


def _new(manifest: Manifest, jobs: list[Job]) -> Manifest:
    """Return a manifest with a new sweep id: in the mirror, the merged sweep is separate from its parts."""
    return Manifest(manifest.suite, manifest.version, manifest.git, []).joined(jobs)


def _check_suites(manifests: Sequence[Manifest], folders: Sequence[Path]) -> None:
    first = manifests[0]
    for manifest, folder in zip(manifests, folders, strict=True):
        if (manifest.suite, manifest.version) != (first.suite, first.version):
            what = f"this folder holds runs of {manifest.suite}@{manifest.version}, not {first.suite}@{first.version}"
            raise UserError(what, where=str(folder), hint="merge only folders of the same suite and version")


def _jobs(tables: Sequence[Sequence[Job]], folders: Sequence[Path]) -> list[Job]:
    """Return every job once, taking one from each folder in turn: shards 1 to N in order restore the plan's order."""
    first: dict[tuple[str, str, int], tuple[Job, Path]] = {}
    for row in zip_longest(*tables):
        for job, folder in zip(row, folders, strict=True):
            if job is None:
                continue
            key = (job.task, job.rule_name.label, job.seed)
            twin, where = first.setdefault(key, (job, folder))
            if twin.id != job.id:
                what = f"{job} ran with different settings in {where}: {_difference(twin, job)}"
                raise UserError(what, where=str(folder), hint="run the same command for every shard")
    return [job for job, _ in first.values()]


def _difference(a: Job, b: Job) -> str:
    one, other = a.to_dict(), b.to_dict()
    return ", ".join(f"{key} {one[key]!r} and {other[key]!r}" for key in one if one[key] != other[key])


def _choose(job: Job, folders: Sequence[Path]) -> _Found | None:
    """Return the job's record, a finished one if there is one. Raises UserError if two finished ones differ."""
    found = [_Found(record, folder) for folder in folders if (record := whole_record(job, folder))]
    done = [one for one in found if one.record.status.is_result]
    for one in done[1:]:
        if _result(one.record) != _result(done[0].record):
            what = f"{job} has a different result in {done[0].folder}"
            hint = f"delete {one.folder / job.name} or {done[0].folder / job.name}"
            raise UserError(what, where=str(one.folder), hint=hint)
    return next(iter([*done, *found]), None)


def _result(record: Record) -> tuple[object, object]:
    return record.status, record.result


def _copy(job: Path, target: Path) -> None:
    """Copy the folder `job` into `target` atomically. Links and special files stay behind."""
    with new_folder(target / job.name, replace=True) as draft:
        shutil.copytree(job, draft, dirs_exist_ok=True, ignore=_irregular)


def _irregular(folder: str, names: list[str]) -> list[str]:
    """The names in `folder` that are neither a regular file nor a folder."""
    modes = {name: (Path(folder) / name).lstat().st_mode for name in names}
    return [name for name, mode in modes.items() if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))]

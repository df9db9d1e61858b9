"""Records without the paths of the author's machine: a publication names files by their names alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from grape_bench.publish.code import renamed
from grape_bench.record.job import Job, Of, leaves
from grape_bench.record.parts import SlurmJob
from grape_bench.record.record import Record
from grape_bench.registry import is_file_reference

# An absolute path after the sources of a name: `/home/me/my.py:Rule`, `csv:~/data`, `timm:local-dir:/models/x`.
_NAMED = re.compile(r"(?P<source>(?:[\w-]+:)*)(?P<path>[/~][^:]*)(?P<rest>(?::.*)?)")
_FOLDERS = re.compile(r"(?P<source>(?:[\w-]+:)*)(?P<path>[^:]*/[^:]*)(?P<rest>(?::.*)?)")  # any path with a folder
_FOLDERS_OF_FILES = re.compile(r"[^\s'\"=]*/(?=[^/\s'\"]+\.py:)")
_IN_TEXT = re.compile(r"(?<![\w./:])~?/[^\s'\"<>|:,;()]*/(?=[^\s'\"<>|:,;()]+)")


def portable(record: Record, *, relative: bool = False) -> Record:
    """`record` with names of files in place of absolute paths, in its settings and in its messages.

    With `relative`, the settings have names in place of relative paths too.
    """
    return replace(
        record,
        job=_portable_job(record.job, relative),
        reason=without_folders(record.reason),
        lost={part: without_folders(why) for part, why in record.lost.items()} if record.lost else record.lost,
        environment=replace(record.environment, slurm=_portable_logs(record.environment.slurm)),
    )


def portable_suite(text: str, jobs: list[Job], *, relative: bool = False) -> str:
    """The text of a suite with the names that its `jobs` have in a publication.

    With `relative`, files of other rules are named without their folders too.
    """
    new = {old: name for job in jobs for old, name in _renamed(job, relative)}
    for old in sorted(new, key=len, reverse=True):
        text = text.replace(old, new[old])
    return _FOLDERS_OF_FILES.sub("", text) if relative else text


def without_folders(text: str) -> str:
    """`text` with `/home/me/my.py` as `my.py`."""
    return _IN_TEXT.sub("", text)


def _portable_job(job: Job, relative: bool) -> Job:
    new = dict(_renamed(job, relative))
    moved = replace(job, **renamed(job.parts(Of.TASK, Of.RULE), new))
    return moved if moved.id == job.id else job  # an older id covers a path


def _renamed(job: Job, relative: bool) -> Iterator[tuple[str, str]]:
    """Each path in the settings of `job`, as it is written there, with the name in its place."""
    known = {**(job.contents or {}), **(job.rule_contents or {})}
    for place, value in leaves(job.parts(Of.TASK, Of.RULE)):
        if not isinstance(value, str) or not (place in known or is_file_reference(value)):
            continue
        match = (_FOLDERS if relative else _NAMED).fullmatch(value)
        name = match["path"].rstrip("/").rpartition("/")[2] if match else ""
        if match and name not in ("", "~"):
            yield value, f"{match['source']}{name}{match['rest']}"


def _portable_logs(slurm: SlurmJob | None) -> SlurmJob | None:
    if slurm is None:
        return None
    return replace(slurm, stdout=without_folders(slurm.stdout), stderr=without_folders(slurm.stderr))

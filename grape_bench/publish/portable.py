"""Records without the paths of the author's machine. Code files and absolute paths are shortened to their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from grape_bench.publish.code import renamed
from grape_bench.record.environment import SlurmJob
from grape_bench.record.job import Job, Of, leaves
from grape_bench.record.parts import Data
from grape_bench.record.record import Record
from grape_bench.record.typed_json import decode, encode
from grape_bench.registry import is_file_reference

# An absolute path after the sources of a name: `/home/me/my.py:Rule`, `csv:~/data`, `timm:local-dir:/models/x`.
_ABSOLUTE = re.compile(r"(?P<source>(?:[\w-]+:)*)(?P<path>[/~][^:]*)(?P<rest>(?::.*)?)")
_ANYWHERE = re.compile(r"(?P<source>(?:[\w-]+:)*)(?P<path>[^:]*/[^:]*)(?P<rest>(?::.*)?)")
_FOLDERS_OF_CODE = re.compile(r"[^\s'\"=]*/(?=[^/\s'\"]+\.py:)")
_IN_TEXT = re.compile(r"(?<![\w./:])~?/[^\s'\"<>|:,;()]*/(?=[^\s'\"<>|:,;()]+)")


def portable(record: Record, *, relative: bool = False) -> Record:
    """`record` with the paths of code, and absolute paths, shortened to names, in its settings and its messages.

    With `relative`, relative paths to data are shortened too.
    """
    new = dict(_renamed(record.job, relative))
    return replace(
        record,
        job=_portable_job(record.job, new),
        data=decode(Data, renamed(encode(record.data), new)) if record.data else None,
        reason=without_folders(record.reason),
        lost={part: without_folders(why) for part, why in record.lost.items()} if record.lost else record.lost,
        environment=replace(record.environment, slurm=_portable_logs(record.environment.slurm)),
    )


def portable_suite(text: str, jobs: list[Job], *, relative: bool = False) -> str:
    """The text of a suite with the names that its `jobs` have in a publication. Paths of other code are cut as well."""
    new = {old: name for job in jobs for old, name in _renamed(job, relative)}
    for old in sorted(new, key=len, reverse=True):
        text = text.replace(old, new[old])
    return _FOLDERS_OF_CODE.sub("", text)


def without_folders(text: str) -> str:
    """`text` with `/home/me/my.py` as `my.py`."""
    return _IN_TEXT.sub("", text)


def _portable_job(job: Job, new: Mapping[str, str]) -> Job:
    moved = replace(job, **renamed(job.parts(Of.TASK, Of.RULE), new))
    return moved if moved.id == job.id else job  # an older id covers a path


def _renamed(job: Job, relative: bool) -> Iterator[tuple[str, str]]:
    """Yield each path in the settings of `job`, as written there, with the name that replaces it."""
    known = {**(job.contents or {}), **(job.rule_contents or {})}
    for place, value in leaves(job.parts(Of.TASK, Of.RULE)):
        if not isinstance(value, str) or not (place in known or is_file_reference(value)):
            continue
        match = (_ANYWHERE if relative or is_file_reference(value) else _ABSOLUTE).fullmatch(value)
        name = match["path"].rstrip("/").rpartition("/")[2] if match else ""
        if match and name not in ("", "~"):
            yield value, f"{match['source']}{name}{match['rest']}"


def _portable_logs(slurm: SlurmJob | None) -> SlurmJob | None:
    if slurm is None:
        return None
    return replace(slurm, stdout=without_folders(slurm.stdout), stderr=without_folders(slurm.stderr))

"""Run a published job on this machine, with the published code and local copies of the author's data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from grape_bench.data.content import content_hash
from grape_bench.data.names import LOCAL, VARIABLE, named_folder, split_source
from grape_bench.errors import UserError
from grape_bench.publish.code import code_of, published_code, renamed
from grape_bench.record.job import Job, Of, replaced
from grape_bench.registry import is_file_reference


def needs(jobs: Iterable[Job]) -> list[str]:
    """Phrases for the data that the jobs read and a publication does not contain: local files, and named data sets."""
    found: dict[str, None] = {}
    for job in jobs:
        found |= dict.fromkeys(f"{name} (content {content.partition(':')[0]})" for _, name, content in _folders(job))
        if job.data_content:
            found[f"${VARIABLE}/{job.dataset} (content {job.data_content}) or the Hub"] = None
    return list(found)


def localized(job: Job, folder: Path, data: Sequence[Path]) -> Job:
    """`job` with the code in the publication `folder` and with local data. Its id stays the same.

    Raises UserError if a file or folder is missing, or if its content is not that of the author's runs.
    """
    copies = {name: _copy(folder, name, digest) for name, digest in code_of(job).items()}
    _check_named(job)
    moved = renamed(job.parts(Of.TASK, Of.RULE), copies)
    new = {place: _found(job, name, content, data) for place, name, content in _folders(job)}
    settings = replaced(moved, new)
    if job.rule_name.file:
        settings["rule"] = str(job.rule_name.moved(Path(copies[job.rule_name.reference].rpartition(":")[0])))
    return replace(job, **settings)


def _copy(folder: Path, reference: str, digest: str) -> str:
    """`reference` with the path of the copy in the publication."""
    path = published_code(folder, reference, digest)
    if path is None:
        what = f"the publication does not contain the file of {reference!r}"
        hint = "" if digest else "a publication of runs of this version, whose ids cover this file"
        raise UserError(what, where=str(folder), hint=hint)
    return f"{path}:{reference.rpartition(':')[2]}"


def _folders(job: Job) -> list[tuple[str, str, str]]:
    return [(place, name, content) for place, name, content in job.named() if not is_file_reference(name)]


def _found(job: Job, name: str, content: str, data: Sequence[Path]) -> str:
    """The path on this machine of the data that the author called `name`, with its configuration."""
    wanted, colon, configuration = content.partition(":")
    suffix = LOCAL.get(split_source(job.dataset)[0], "")
    own = name.removesuffix(f":{configuration}").removeprefix("local-dir:")
    for path in (Path(own).expanduser(), *data):
        if path.exists() and wanted in (content_hash(path), content_hash(path, suffix)):
            start = "local-dir:" if name.startswith("local-dir:") else ""
            return f"{start}{path.absolute()}{colon}{configuration}"  # a rerun has a folder of its own
    what = f"these runs read {own!r}, which a publication does not contain, and no copy with its content is here"
    raise UserError(what, where=f"task {job.task!r}, content {wanted}", hint="--data FOLDER, a copy of it")


def _check_named(job: Job) -> None:
    folder = named_folder(job.dataset)
    if folder and job.data_content and (found := content_hash(folder)) != job.data_content:
        what = f"{job.dataset} has the content {found} here, but the runs read {job.data_content}"
        raise UserError(what, where=str(folder), hint=f"export {VARIABLE}=DIR, where DIR/{job.dataset} is a copy")

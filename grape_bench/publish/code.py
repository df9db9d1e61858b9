"""The user's own code in a publication: `code/HASH/`, a folder per file with the modules that it imports."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.plan.sources import AUGMENT
from grape_bench.publish.submission import CODE, SOURCE
from grape_bench.record.job import Job
from grape_bench.record.regular_file import Largest, entries, read_bytes
from grape_bench.registry import is_file_reference, split_file_reference
from grape_bench.user_code import user_code


def code_of(job: Job) -> dict[str, str]:
    """The user's files that `job` names, such as `nets.py:net`, with the hash of each; "" in records without it."""
    rule = job.rule_name
    loader = job.dataset_source.split("+")
    named = {
        rule.reference: job.rule_source,
        job.model: job.model_source,
        job.dataset: loader[0],
        str(job.dataset_args.get(AUGMENT)): loader[-1],
        str(job.objective): job.objective_source,
        str(job.optimizer["name"]): job.optimizer_source,
        job.schedule: job.schedule_source,
    }
    named |= {str(value): content.partition(":")[0] for _, value, content in job.named()}
    return {name: digest for name, digest in named.items() if is_file_reference(name)}


def renamed(values: Any, new: Mapping[str, str]) -> Any:
    """`values` (tables, lists and strings) with each string that is a key of `new` replaced by its value."""
    if isinstance(values, Mapping):
        return {key: renamed(inner, new) for key, inner in values.items()}
    if isinstance(values, list):
        return [renamed(inner, new) for inner in values]
    return new.get(values, values) if isinstance(values, str) else values


def copy_code(draft: Path, jobs: Iterable[Job]) -> dict[str, Path]:
    """Copy the files of all `jobs` into the publication `draft`, each with the modules that it imports.

    Returns the user's file of each copy. Raises UserError if one has changed since the runs.
    """
    copied = {}
    for reference, digest in sorted({pair for job in jobs for pair in code_of(job).items()}):
        code = user_code(split_file_reference(reference)[0])
        if code.digest != digest:
            what = "this file or a module that it imports has changed since the runs"
            raise UserError(what, where=str(code.path), hint="rerun the suite, then publish")
        for name, path in code.files.items():
            target = draft / CODE / digest / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            copied[f"{CODE}/{digest}/{name}"] = path
    return copied


def published_code(folder: Path, reference: str, digest: str) -> Path | None:
    """The copy of the file of `reference` in the publication `folder`, or None if it has another hash or is missing.

    In publications of earlier versions, a rule is in `source.py` and an objective in `objectives/`.
    """
    if not re.fullmatch("[0-9a-f]{16}", digest):
        return None
    name = Path(reference.rpartition(":")[0]).name
    earlier = folder / "objectives" / f"{digest}.py"
    copies = _files(folder / CODE / digest)
    for path in (*(path for path in copies if path.name == name), folder / SOURCE, earlier):
        if _is_code(path) and all(map(_is_code, copies)) and user_code(path).digest == digest:
            return path
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for _, entry in entries(folder)) if folder.is_dir() else []


def _is_code(path: Path) -> bool:
    """Whether `path` is a file that can be read as code: no link, nothing special, not large."""
    try:
        read_bytes(path, Largest.DOCUMENT)
    except (OSError, ValueError):
        return False
    return True

"""The folder holds exactly the published files, unchanged, and nothing but data and the author's code."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from grape_bench.publish.index import LINK, SCHEMA, content_id, contents
from grape_bench.publish.submission import Submission

ALLOWED = re.compile(
    r"index\.json|rule\.toml|suite\.toml|table\.csv|source\.py|constraints\.txt"
    r"|runs/[^/]+/(record\.json|curve\.csv|diagnostics\.csv)"
    r"|code/[0-9a-f]{16}/([^/.][^/]*/)*[^/.][^/]*\.py"
    r"|objectives/[0-9a-f]{16}\.py"  # in publications of earlier versions
)
"""The paths that a publication may have."""


def problems(submission: Submission) -> Iterator[str]:
    """Compare the files with the allowed paths, and with the hashes in the index."""
    yield from (f"{name!a} {why}" for name, why in _not_allowed(submission.folder))
    index = submission.index
    found = contents(submission.folder)
    if index["schema"] != SCHEMA:
        yield f"the index has schema {index['schema']}, not {SCHEMA}"
    yield from (f"{name} is a link" for name, digest in found.items() if digest == LINK)
    for name, digest in index["files"].items():
        if name not in found:
            yield f"{name} is missing"
        elif found[name] != digest:
            yield f"{name} has changed since it was published"
    yield from (f"{name} is not in the index" for name in found if name not in index["files"])
    if content_id(index["files"]) != index["id"]:
        yield "the content id does not match the files"


def _not_allowed(folder: Path) -> Iterator[tuple[str, str]]:
    """Every path that a publication may not have, with the reason. Nothing is opened, and no link is followed."""
    for parent, folders, files in os.walk(folder):
        where = Path(parent)
        if not folders and not files and where != folder:
            yield where.relative_to(folder).as_posix(), "is an empty folder"
        for name in sorted(files + [one for one in folders if (where / one).is_symlink()]):
            path = where / name
            short, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
            if not stat.S_ISREG(mode):
                yield short, "is not a regular file"
            elif not ALLOWED.fullmatch(short):
                yield short, "is no file of a publication"
            elif os.name == "posix" and mode & 0o111:
                yield short, "is executable"

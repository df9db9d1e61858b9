"""`index.json`: the hash of every file of a publication, and one hash over all of them."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from grape_bench.errors import UserError
from grape_bench.record.write import write_json

INDEX = "index.json"
VERIFICATIONS = "verifications"  # the folder of results with what the maintainers reran
SCHEMA = 1
LINK = "a link"  # stands where the hash would be


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in `folder`, by path. The index is left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: LINK if path.is_symlink() else sha256(path.read_bytes()).hexdigest()
        for name, path in names.items()
        if name != INDEX
    }


def content_id(files: dict[str, str]) -> str:
    """One hash over all files, which identifies this content."""
    return sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_index(folder: Path) -> str:
    """Write the index of `folder` and return the content id."""
    files = contents(folder)
    write_json(folder / INDEX, {"schema": SCHEMA, "id": content_id(files), "files": files})
    return content_id(files)


def read_index(folder: Path) -> dict[str, Any]:
    """The index of `folder`. Raises UserError if there is none, or if a path in it points outside the folder."""
    where = folder / INDEX
    try:
        index = json.loads(where.read_text(encoding="utf-8"))
        files = {str(name): str(digest) for name, digest in index["files"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        hint = "a folder that `grape-bench publish` made: results/SUITE/RULE"
        raise UserError(f"not a published folder: {error}", where=str(where), hint=hint) from error
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"this path points outside the folder: {name}", where=str(where))
    return {"schema": index.get("schema"), "id": str(index.get("id")), "files": files}

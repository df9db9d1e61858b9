"""`index.json`: every file of a publication with the hash of its content, and one hash over all of them."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from grape_bench.errors import UserError
from grape_bench.record.write import write_json

INDEX, VERIFICATION = "index.json", "verification.json"
SCHEMA = 1
LINK = "a link"  # in the place of a hash


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by its path; the index itself and what an auditor added are not in it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {
        name: LINK if path.is_symlink() else sha256(path.read_bytes()).hexdigest()
        for name, path in names.items()
        if name not in (INDEX, VERIFICATION)
    }


def content_id(files: dict[str, str]) -> str:
    """One hash over all files: the name of exactly this content."""
    return sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_index(folder: Path) -> str:
    """Write the index of what lies in `folder`; its content id."""
    files = contents(folder)
    write_json(folder / INDEX, {"schema": SCHEMA, "id": content_id(files), "files": files})
    return content_id(files)


def read_index(folder: Path) -> dict[str, Any]:
    """The index of `folder`; raises UserError where there is none, or where a path in it leads out of the folder."""
    where = folder / INDEX
    try:
        index = json.loads(where.read_text(encoding="utf-8"))
        files = {str(name): str(digest) for name, digest in index["files"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        hint = "a folder that `grape-bench publish` made: results/SUITE/RULE"
        raise UserError(f"not a published folder: {error}", where=str(where), hint=hint) from error
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"a path that leads out of the folder: {name}", where=str(where))
    return {"schema": index.get("schema"), "id": str(index.get("id")), "files": files}

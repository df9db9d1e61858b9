"""`index.json`: the hash of every file of a publication, and one hash over all of them."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from grape_bench.errors import UserError
from grape_bench.publish.card import CARD
from grape_bench.record.content import parse_object
from grape_bench.record.manifest import SUITE
from grape_bench.record.record import RECORD
from grape_bench.record.regular_file import Largest, entries, read_bytes, read_text
from grape_bench.record.typed_json import ShapeError
from grape_bench.record.write import write_json

INDEX = "index.json"
VERIFICATIONS = "verifications"  # the folder in results/ with the maintainers' reruns
SCHEMA = 1
NAMING = (CARD, SUITE, RECORD)
"""The files that differ in an anonymous publication."""
LINK = "a link"  # stands where the hash would be


def contents(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in `folder`, by path, or the reason why it has none. The index is left out.

    Raises UserError if there are too many files, or if a folder lies too deep.
    """
    try:
        found = sorted((name, entry) for name, entry in entries(folder) if name != INDEX)
        return {name: LINK if entry.is_symlink() else _digest(Path(entry.path)) for name, entry in found}
    except (OSError, ShapeError) as error:
        raise UserError(f"cannot be read: {error}", where=str(folder)) from error


def _digest(path: Path) -> str:
    """The SHA-256 of a file, or why it has none: it is a named pipe, a device, or too large."""
    try:
        return sha256(read_bytes(path, Largest.ANY)).hexdigest()
    except ShapeError as error:
        return str(error)


def content_id(files: dict[str, str]) -> str:
    """One hash over all files, which identifies this content."""
    return sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def shared_id(files: dict[str, str]) -> str:
    """One hash over the curves, the table and the code: equal with and without `publish --anonymous`."""
    return content_id({name: one for name, one in files.items() if PurePosixPath(name).name not in NAMING})


def write_index(folder: Path) -> str:
    """Write the index of `folder` and return the content id."""
    files = contents(folder)
    write_json(folder / INDEX, {"schema": SCHEMA, "id": content_id(files), "files": files})
    return content_id(files)


def read_index(folder: Path) -> dict[str, Any]:
    """The index of `folder`. Raises UserError if there is none, or if a path in it points outside the folder."""
    where = folder / INDEX
    try:
        index = parse_object(read_text(where, Largest.INDEX))
        files = {str(name): str(digest) for name, digest in index["files"].items()}
    except (OSError, ValueError, KeyError, AttributeError, RecursionError) as error:
        hint = "a folder that `grape-bench publish` made: results/SUITE/RULE"
        why = f"it has no {INDEX}" if isinstance(error, FileNotFoundError) else f"{INDEX}: {error}"
        raise UserError(f"not a published folder: {why}", where=str(folder), hint=hint) from error
    for name in files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"this path points outside the folder: {name}", where=str(where))
    return {"schema": index.get("schema"), "id": str(index.get("id")), "files": files}

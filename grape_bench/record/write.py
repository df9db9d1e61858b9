"""Write a file or a folder in one step: it is whole or absent, also when the process or the machine stops midway."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A draft path in the same folder. It replaces `path` when the block succeeds, and is deleted when it does not.

    `durable` flushes the content to the disk first: without it, a power failure can leave the new name with no content.
    Raises OSError.
    """
    # The draft keeps the file's ending, which tells some libraries the format.
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield draft
        if durable:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def output(path: Path) -> Iterator[Path]:
    """`replacing` for a file that a user asked for: makes its folder, and raises UserError when writing fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            yield draft
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise UserError(what, where=str(path), hint="a folder you may write to") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8; raises UserError when that fails."""
    with output(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write `value` to `path` as strict JSON; raises OSError."""
    with replacing(path, durable=durable) as draft:
        draft.write_text(dumps(value) + "\n", encoding="utf-8", newline="\n")


def dumps(value: Any) -> str:
    """`value` as strict JSON, which has no word for numbers that are not finite: NaN is null, infinity is 1e999.

    A reader of JSON takes 1e999 for infinity, since it is beyond the largest number.
    """
    try:
        return json.dumps(value, indent=1, allow_nan=False)
    except ValueError:
        text = json.dumps(_marked(value), indent=1, allow_nan=False)
    for number, mark in _MARKS.items():
        text = text.replace(json.dumps(mark), number)
    return text


# A string that no value contains by accident stands for infinity until the text is complete.
_MARKS = {"1e999": "\0infinity\0", "-1e999": "\0-infinity\0"}


def _marked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _marked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_marked(inner) for inner in value]
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return _MARKS["1e999" if value > 0 else "-1e999"]
    return value


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """An empty draft folder beside `path`. It becomes `path` when the block succeeds, and is deleted when it does not.

    With `replace` it takes the place of a folder that exists. Raises OSError.
    """
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    old = path.with_name(f".{os.getpid()}.{path.name}.old")
    try:
        draft.mkdir(parents=True)
        yield draft
        if replace and path.exists():
            path.rename(old)
        draft.rename(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)

"""Write a file or folder in one step. It is complete or absent even if the process or the machine stops midway."""

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
    """A draft path in the same folder. It replaces `path` if the block succeeds and is deleted if not.

    `durable` flushes the content to disk first. Without it, a power failure can leave an empty file at `path`.
    Raises OSError.
    """
    # The draft keeps the suffix, since some libraries infer the format from it.
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
    """`replacing` for a file that the user asked for. It creates the folder and raises UserError if writing fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            yield draft
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise UserError(what, where=str(path), hint="a folder you may write to") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8. Raises UserError if that fails."""
    with output(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write `value` to `path` as strict JSON. Raises OSError."""
    with replacing(path, durable=durable) as draft:
        draft.write_text(dumps(value) + "\n", encoding="utf-8", newline="\n")


def dumps(value: Any, indent: int | None = 1) -> str:
    """`value` as strict JSON, which cannot express non-finite numbers: NaN becomes null, infinity becomes 1e999.

    JSON readers parse 1e999 as infinity, because it exceeds the largest float. Without `indent` it is a single line,
    which is written ten times faster.
    """
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_marked(value), indent=indent, allow_nan=False)
    for number, mark in _MARKS.items():
        text = text.replace(json.dumps(mark), number)
    return text


# These strings stand for infinity until the text is complete. No value contains one by accident.
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
    """An empty draft folder next to `path`. It becomes `path` if the block succeeds and is deleted if not.

    With `replace` it replaces an existing folder, which stays if that fails. Raises OSError.
    """
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    old = path.with_name(f".{os.getpid()}.{path.name}.old")
    try:
        draft.mkdir(parents=True)
        yield draft
        try:
            if replace and path.exists():
                path.rename(old)
            draft.rename(path)
        except BaseException:
            if old.exists() and not path.exists():
                old.rename(path)
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)

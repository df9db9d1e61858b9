"""Files that are either whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from grape_bench.errors import UserError


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A path to write to; it becomes `path` when the block ends well and is removed when it does not.

    Makes the folder. Raises UserError when the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, hence on the same file system: only there is the replacement atomic.
        room = Path(mkdtemp(prefix=".writing-", dir=path.parent))
    except OSError as error:
        raise _cannot_write(path, error) from error
    draft = room / path.name
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        draft.unlink(missing_ok=True)
        room.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8; raises UserError when that cannot be done."""
    with written(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot be written: {error.strerror or error}", where=str(path), hint="a folder you may write to")

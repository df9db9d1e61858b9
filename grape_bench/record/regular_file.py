"""The only reader of untrusted files: it reads regular files of limited size, and no links.

A named pipe could block forever, a device has no end, and a link may point anywhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path

from grape_bench.errors import UserError
from grape_bench.record.typed_json import ShapeError

MIB = 2**20


class Largest(IntEnum):
    """The largest size of each kind of file, in bytes. The files that we write are smaller by a factor of ten."""

    RECORD = MIB
    MANIFEST = 128 * MIB
    TABLE = 4 * MIB
    INDEX = 4 * MIB
    DOCUMENT = MIB  # a suite, a rule card, tuned settings, notes
    ANY = 16 * MIB  # of a publication
    ARCHIVE = 256 * MIB  # a zip of a publication, and all that it unpacks to
    ALL_RECORDS = 512 * MIB  # of a folder with a manifest, as the user's own runs have one
    ALL_PUBLISHED = 96 * MIB  # records of a publication, or of another folder without a manifest
    ALL_CURVES = 32 * MIB  # of a publication
    ALL_TABLES = 256 * MIB  # of a report


MOST_FILES = 10_000
"""The most files of a publication."""
MOST_JOBS = 50_000
"""The most jobs of a manifest."""
DEEPEST = 12
"""The deepest folder of a publication."""
LONGEST_NAME = 255
"""The longest name of a file, in bytes, on every common file system."""


def read_bytes(path: Path, largest: int, *, follow: bool = False) -> bytes:
    """The content of `path`. Raises ShapeError for a link, a special file or a large one, and OSError.

    `follow` allows a link, for a file that the user names.
    """
    # Without O_NONBLOCK, opening a named pipe waits for a writer.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ShapeError("it is a link") from error
        if error.errno == errno.ENXIO:
            raise ShapeError("it is not a regular file") from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ShapeError("it is not a regular file")
    with open(descriptor, "rb") as file:  # noqa: PTH123 (an open descriptor has no path)
        content = file.read(largest + 1) if status.st_size <= largest else b""
        if len(content) > largest or status.st_size > largest:
            raise ShapeError(f"it is larger than {largest / MIB:g} MiB")
        return content


def read_text(path: Path, largest: int, *, follow: bool = False) -> str:
    """The text of `path`, without a byte order mark.

    Raises ShapeError if the file is empty or has NUL bytes, UnicodeDecodeError, and the errors of `read_bytes`.
    """
    text = read_bytes(path, largest, follow=follow).decode("utf-8-sig")
    if not text:
        raise ShapeError("it is empty")
    if "\0" in text:
        raise ShapeError("it contains NUL bytes")
    return text


def check_total(paths: Iterable[Path], where: Path, largest: int) -> None:
    """Raise UserError if the files at `paths`, which are to be held in memory, are too large together."""
    total = sum(path.lstat().st_size for path in paths if path.is_file())
    if total > largest:
        raise UserError(f"its files have {total / MIB:.0f} MiB, over the limit of {largest / MIB:g}", where=str(where))


def is_name(text: str) -> bool:
    """Whether `text` names a file in a folder, and not a path that leads elsewhere."""
    size = len(text.encode(errors="surrogatepass"))
    return text not in ("", ".", "..") and not {"/", "\0"} & {*text} and size <= LONGEST_NAME


def entries(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield (relative path, entry) for everything below `folder` except folders. Links are not followed.

    Raises ShapeError if there are too many files, or if a folder lies too deep.
    """
    left = [(folder, "", 0)]
    count = 0
    while left:
        place, start, depth = left.pop()
        if depth > DEEPEST:
            raise ShapeError(f"{start} lies more than {DEEPEST} folders deep")
        with os.scandir(place) as found:
            for entry in found:
                count += 1
                if count > MOST_FILES:
                    raise ShapeError(f"more than {MOST_FILES} files and folders")
                if entry.is_dir(follow_symlinks=False):
                    left.append((Path(entry.path), f"{start}{entry.name}/", depth + 1))
                else:
                    yield start + entry.name, entry

"""A publication as one zip. Equal content gives equal bytes.

A zip that is read is not trusted: its names and sizes are checked, and its files are read with the same care as those
of a folder.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from grape_bench.errors import UserError
from grape_bench.publish.index import INDEX
from grape_bench.record.deadline import deadline
from grape_bench.record.regular_file import DEEPEST, MIB, MOST_FILES, Largest, entries, is_name, read_bytes
from grape_bench.record.typed_json import ShapeError
from grape_bench.record.write import output

SECONDS = 60  # to unpack a zip
DATE = (1980, 1, 1, 0, 0, 0)  # of every file: the earliest date that a zip can store
MODE = stat.S_IFREG | 0o644
UNIX = 3

END = struct.Struct("<4s8xL4xH")
"""The end of a zip: its signature, the bytes of the list of files, and those of a comment."""
ZIP64 = b"PK\x06\x07"
ZIP64_SIZE = 20

_BROKEN = (BadZipFile, OSError, ValueError, EOFError, RuntimeError, OverflowError, struct.error, zlib.error)


def write_archive(folder: Path, path: Path, inside: str) -> None:
    """Write the files of `folder` to the zip `path`, in its folder `inside`. Raises UserError if that fails.

    The bytes depend only on the names and contents. Nothing is compressed, because versions of zlib differ.
    """
    with output(path) as draft, ZipFile(draft, "w", ZIP_STORED) as archive:
        for name, entry in sorted(entries(folder)):
            info = ZipInfo(f"{inside}/{name}", DATE)
            info.create_system, info.external_attr = UNIX, MODE << 16
            archive.writestr(info, read_bytes(Path(entry.path), Largest.ANY))


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The publication at `path`: this folder, or the folder in this zip, unpacked until the block ends.

    Raises UserError if the zip holds anything else. Errors of the block name the zip instead of the unpacked folder.
    """
    if not path.is_file():
        yield path
        return
    with TemporaryDirectory(prefix="grape-bench-zip-") as place:
        with deadline(SECONDS, str(path)):
            folder = _unpack(path, Path(place).resolve())
        try:
            yield folder
        except UserError as error:
            error.where = error.where.replace(str(folder), str(path))
            raise


def _unpack(path: Path, place: Path) -> Path:
    try:
        with path.open("rb") as file, ZipFile(_checked(file)) as archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
            folder = _folder(files)
            for info in files:
                target = place / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as packed:
                    target.write_bytes(packed.read(info.file_size + 1))  # `read()` would first expand all of it
    except _BROKEN as error:
        why = error.strerror if isinstance(error, OSError) else error
        hint = "a zip that `grape-bench publish --anonymous` made"
        raise UserError(f"not a zip of a publication: {why}", where=str(path), hint=hint) from error
    return place / folder


def _checked(file: BinaryIO) -> BinaryIO:
    """Check the size of a zip and of its list of files, which `zipfile` reads at once. Raises ShapeError."""
    size = file.seek(0, os.SEEK_END)
    if size > Largest.ARCHIVE:
        raise ShapeError(f"it is larger than {Largest.ARCHIVE / MIB:g} MiB")
    file.seek(max(0, size - ZIP64_SIZE - END.size))
    before, end = (content := file.read())[: -END.size], content[-END.size :]
    signature, listed, comment = END.unpack(end) if len(end) == END.size else (b"", 0, 0)
    if signature != b"PK\x05\x06" or comment:
        raise ShapeError("it does not end as a zip does")
    if before.startswith(ZIP64):
        raise ShapeError("it is a Zip64")
    if listed > Largest.INDEX:
        raise ShapeError(f"its list of files is larger than {Largest.INDEX / MIB:g} MiB")
    return file


def _folder(files: Sequence[ZipInfo]) -> str:
    """The folder in the zip with an index and all files. Raises ShapeError for a file that no publication has."""
    if len(files) > MOST_FILES:
        raise ShapeError(f"more than {MOST_FILES} files")
    for info in files:
        if why := _flaw(info):
            raise ShapeError(f"{info.filename[:100]!a} {why}")
    names = [info.filename for info in files]
    if len({name.casefold() for name in names}) < len(names):
        raise ShapeError("two files have one name")
    if sum(info.file_size for info in files) > Largest.ARCHIVE:
        raise ShapeError(f"its files have more than {Largest.ARCHIVE / MIB:g} MiB")
    found = [PurePosixPath(name).parent for name in names if PurePosixPath(name).name == INDEX]
    if len(found) != 1 or not all(PurePosixPath(name).is_relative_to(found[0]) for name in names):
        raise ShapeError(f"it is not one folder with an {INDEX}")
    return str(found[0])


def _flaw(info: ZipInfo) -> str:
    """Why this cannot be a file of a publication, or ""."""
    parts, mode = info.filename.split("/"), info.external_attr >> 16
    if not all(map(is_name, parts)) or "\\" in info.orig_filename or info.orig_filename != info.filename:
        return "is no path in a folder"
    if len(parts) > DEEPEST:
        return f"lies more than {DEEPEST} folders deep"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or info.flag_bits & 1:
        return "is not a regular file"
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return "is compressed in an unusual way"
    return f"is larger than {Largest.ANY / MIB:g} MiB" if info.file_size > Largest.ANY else ""

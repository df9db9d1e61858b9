"""A cache of decoded images, one per machine: memory-mapped arrays, each with a side file that has its checksum.

Why not `joblib.Memory`: its keys are the arguments (gigabytes of images, or a digest that we compute anyway), it does
not verify what it reads back, and every job would have one more import at its start.
"""

from __future__ import annotations

import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from grape_bench.errors import UserError
from grape_bench.record.write import replacing

VERSION = 2
WHOLE = 256 * 2**20
EDGE = 2**20
SETTLED = 2.0
"""After this many seconds, a second change of a file always changes its modification time, too."""

Sums = NDArray[np.int64]
"""(N, C, 2): for each image and channel, the sum of its values and the sum of their squares."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoded:
    """The images of one split after decoding (N, C, H, W), and their sums (N, C, 2)."""

    images: NDArray[np.uint8]
    sums: Sums

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> Decoded:
        """Compute the sums of `images`."""
        return cls(images, image_sums(images))

    def checksum(self, of_images: int | None = None) -> int:
        """Return the CRC-32 of both arrays. `of_images` is the CRC-32 of the images, if it is known."""
        check = crc(self.images) if of_images is None else of_images
        return crc(self.sums, check)


def image_sums(images: NDArray[np.uint8]) -> Sums:
    """Compute the sums of `images` (N, C, H, W)."""
    # An image with one channel and 2 pixels, [3 5], gives [[8 34]] (3 + 5 and 9 + 25). uint32 holds a square;
    # int64 holds the sum of any image. Pieces of 2**18 values stay in the processor's cache.
    flat = images.reshape(*images.shape[:2], -1)
    sums = np.empty((*flat.shape[:2], 2), dtype=np.int64)
    step = max(1, 2**18 // max(1, flat[0].size))
    for start in range(0, len(flat), step):
        piece = flat[start : start + step].astype(np.uint32)
        sums[start : start + step, :, 0] = piece.sum(2, dtype=np.int64)
        sums[start : start + step, :, 1] = (piece * piece).sum(2, dtype=np.int64)
    return sums


def folder() -> Path:
    """Return `$GRAPE_BENCH_CACHE`, or `~/.cache/grape_bench`."""
    return Path(os.environ.get("GRAPE_BENCH_CACHE") or Path.home() / ".cache" / "grape_bench")


def file_key(path: Path) -> str:
    """Return the SHA-256 of a file. Above 256 MiB, hash its size and its first and last MiB (Parquet's index).

    The result is remembered until the file changes.
    """
    return remembered("sha256", path, [path], lambda: _hash(path))


def cached(key: str, decode: Callable[[], Decoded]) -> Decoded:
    """Return what is stored under `key`, or call `decode` and store the result. The images are memory-mapped.

    Several processes may call this at once. Each writes its own files and moves them into place, and all write the same
    content. Raises UserError if the cache cannot be written.
    """
    stem = folder() / "images" / file_name(f"{VERSION} {key}")
    stored = _read(stem)
    if stored is not None:
        return stored
    decoded = decode()
    with writing(stem.parent):
        replace_file(stem.with_suffix(".npy"), lambda file: np.save(file, decoded.images))
        side: dict[str, Any] = {"sums": decoded.sums, "checksum": decoded.checksum()}
        replace_file(stem.with_suffix(".npz"), lambda file: np.savez(file, **side))
    return Decoded(_mapped(stem), decoded.sums)


@contextmanager
def writing(part: Path) -> Iterator[None]:
    """Create the cache folder `part` for files written in this block. Raises UserError if they cannot be written."""
    try:
        part.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        hint = "export GRAPE_BENCH_CACHE=/a/folder/you/can/write"
        raise UserError(f"cannot write the cache: {error}", where=str(part), hint=hint) from error


def _read(stem: Path) -> Decoded | None:
    """Return what is stored under `stem`, or None if there is nothing or the checksum does not match."""
    array, side_file = stem.with_suffix(".npy"), stem.with_suffix(".npz")
    if not array.is_file() or not side_file.is_file():
        return None
    try:
        with np.load(side_file) as side:
            stored = Decoded(_mapped(stem), side["sums"])
            of_images = int(remembered("crc32", array, [array], lambda: str(crc(stored.images))))
            if stored.checksum(of_images) == int(side["checksum"]):
                return stored
        reason = "wrong checksum"
    except (OSError, ValueError, EOFError, KeyError, zlib.error, BadZipFile) as error:
        reason = str(error)
    log.warning("%s is damaged (%s): decoding again", array, reason)
    return None


def _mapped(stem: Path) -> NDArray[np.uint8]:
    # Copy-on-write: torch wants writable arrays, and processes still share the pages.
    images: NDArray[np.uint8] = np.load(stem.with_suffix(".npy"), mmap_mode="c")
    return images


def remembered(kind: str, path: Path, files: Sequence[Path], compute: Callable[[], str]) -> str:
    """Return the digest of `path`, recomputed only if the names, sizes, times or inodes of its `files` have changed."""
    path = path.absolute()
    found = [(str(file), file.stat()) for file in files]
    stamps = [(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev) for name, s in found]
    note = folder() / "digests" / file_name(f"{VERSION} {kind} {path} {stamps}")
    try:
        return note.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        digest = compute()
    # As in git's index, a file that was just written may change again without a new modification time.
    if time.time() - max((status.st_mtime for _, status in found), default=0.0) > SETTLED:
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            replace_file(note, lambda file: file.write(digest.encode("ascii")))
        except OSError as error:
            log.debug("cannot remember the digest of %s: %s", path, error)
    return digest


def _hash(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE:
            return sha256(file.read()).hexdigest()
        digest = sha256(str(size).encode() + file.read(EDGE))
        file.seek(-EDGE, os.SEEK_END)
        digest.update(file.read())
    return digest.hexdigest()


def crc(array: NDArray[Any], start: int = 0) -> int:
    """The CRC-32 of an array's bytes, continuing from the checksum `start`."""
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, start)


def file_name(text: str) -> str:
    """A file name of fixed length, made from `text`."""
    return sha256(text.encode()).hexdigest()[:32]


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a temporary file next to `path`, and move it there when it is complete."""
    with replacing(path) as draft, draft.open("wb") as file:
        write(file)

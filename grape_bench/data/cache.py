"""Decoded images, kept once per machine: a memory-mapped array and a side file with its checksum."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from grape_bench.data.partition import Indices
from grape_bench.data.statistics import Sums, image_sums
from grape_bench.errors import UserError
from grape_bench.record.write import replacing

VERSION = 1
WHOLE = 256 * 2**20
EDGE = 2**20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoded:
    """One split: images (N, C, H, W), labels (N,) and the images' sums (N, C, 2)."""

    images: NDArray[np.uint8]
    labels: Indices
    sums: Sums

    @classmethod
    def of(cls, images: NDArray[np.uint8], labels: Indices) -> Decoded:
        """With the sums taken."""
        return cls(images, labels.astype(np.int64), image_sums(images))

    def checksum(self) -> int:
        """CRC-32 of all three."""
        check = 0
        for array in (self.images, self.labels, self.sums):
            check = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, check)
        return check


def folder() -> Path:
    """`$GRAPE_BENCH_CACHE`, or `~/.cache/grape_bench`."""
    return Path(os.environ.get("GRAPE_BENCH_CACHE") or Path.home() / ".cache" / "grape_bench")


def file_key(path: Path) -> str:
    """SHA-256 of a file; of its size, first and last MiB (where Parquet has its index) above 256 MiB."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE:
            return sha256(file.read()).hexdigest()
        digest = sha256(str(size).encode() + file.read(EDGE))
        file.seek(-EDGE, os.SEEK_END)
        digest.update(file.read())
    return digest.hexdigest()


def cached(key: str, decode: Callable[[], Decoded]) -> Decoded:
    """What is kept under `key`, or what `decode` makes, kept from now on; the images are memory-mapped.

    Safe when several processes come at once: each writes files of its own and moves them into place, and
    all write the same. Raises UserError where the cache cannot be written.
    """
    stem = folder() / "images" / sha256(f"{VERSION} {key}".encode()).hexdigest()[:32]
    kept = _read(stem)
    if kept is not None:
        return kept
    decoded = decode()
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        _replace(stem.with_suffix(".npy"), lambda file: np.save(file, decoded.images))
        _replace(stem.with_suffix(".npz"), lambda file: _save_side(file, decoded))
    except OSError as error:
        hint = "export GRAPE_BENCH_CACHE=/a/folder/you/can/write"
        raise UserError(f"the cache cannot be written: {error}", where=str(stem.parent), hint=hint) from error
    return Decoded(_mapped(stem), decoded.labels, decoded.sums)


def _read(stem: Path) -> Decoded | None:
    """What lies under `stem`; None where there is nothing, or where it does not match its checksum."""
    if not stem.with_suffix(".npz").is_file() or not stem.with_suffix(".npy").is_file():
        return None
    try:
        with np.load(stem.with_suffix(".npz")) as side:
            kept = Decoded(_mapped(stem), side["labels"], side["sums"])
            if kept.checksum() == int(side["checksum"]):
                return kept
        reason = "wrong checksum"
    except (OSError, ValueError, EOFError, KeyError, zlib.error, BadZipFile) as error:
        reason = str(error)
    log.warning("%s is damaged (%s): decoding anew", stem.with_suffix(".npy"), reason)
    return None


def _mapped(stem: Path) -> NDArray[np.uint8]:
    # Copy-on-write: torch wants arrays that could be written, and the pages stay shared between processes.
    images: NDArray[np.uint8] = np.load(stem.with_suffix(".npy"), mmap_mode="c")
    return images


def _save_side(file: IO[bytes], decoded: Decoded) -> None:
    np.savez(file, labels=decoded.labels, sums=decoded.sums, checksum=decoded.checksum())


def _replace(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    with replacing(path) as draft, draft.open("wb") as file:
        write(file)

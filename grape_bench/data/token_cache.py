"""A cache of token ids, one per machine: a memory-mapped array per split, and a side file with facts and checksums."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grape_bench.data.cache import crc, file_name, folder, remembered, replace_file, writing

VERSION = 1

Ids = NDArray[np.integer[Any]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tokens:
    """The token ids (T,) of each split, and JSON `facts` about the tokenizer."""

    ids: Mapping[str, Ids]
    facts: dict[str, Any]


def cached_tokens(key: str, tokenize: Callable[[], Tokens]) -> Tokens:
    """Return what is stored under `key`, or call `tokenize` and store the result. The ids are memory-mapped.

    The side file is written last, so the leftovers of a killed process are not read. Raises UserError if the cache
    cannot be written.
    """
    stem = folder() / "tokens" / file_name(f"{VERSION} {key}")
    stored = _read(stem)
    if stored is not None:
        return stored
    made = tokenize()
    with writing(stem.parent):
        for number, ids in enumerate(made.ids.values()):
            replace_file(_array(stem, number), lambda file, ids=ids: np.save(file, ids))  # type: ignore[misc]
        side = json.dumps({"checksums": {split: crc(ids) for split, ids in made.ids.items()}, "facts": made.facts})
        replace_file(stem.with_suffix(".json"), lambda file: file.write(side.encode()))
    return Tokens({split: _mapped(stem, number) for number, split in enumerate(made.ids)}, made.facts)


def _read(stem: Path) -> Tokens | None:
    """Return what is stored under `stem`, or None if there is nothing or a checksum does not match."""
    side_file = stem.with_suffix(".json")
    if not side_file.is_file():
        return None
    try:
        side = json.loads(side_file.read_text(encoding="utf-8"))
        ids = {split: _mapped(stem, number) for number, split in enumerate(side["checksums"])}
        for number, (split, checksum) in enumerate(side["checksums"].items()):
            if _checksum(_array(stem, number), ids[split]) != checksum:
                raise ValueError(f"wrong checksum of {split!r}")
        return Tokens(ids, dict(side["facts"]))
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s is damaged (%s): tokenizing again", side_file, error)
    return None


def _checksum(path: Path, ids: Ids) -> int:
    """The CRC-32 of the ids in `path`, recomputed only if the file has changed."""
    return int(remembered("crc32", path, [path], lambda: str(crc(ids))))


def _array(stem: Path, number: int) -> Path:
    return stem.with_name(f"{stem.name}-{number}.npy")


def _mapped(stem: Path, number: int) -> Ids:
    ids: Ids = np.load(_array(stem, number), mmap_mode="r")
    return ids

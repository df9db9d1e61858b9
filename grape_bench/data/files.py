"""Find the files of each split in a folder."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from grape_bench.data.tables import SPLITS
from grape_bench.errors import UserError

log = logging.getLogger(__name__)

SHARD = re.compile(r"(.*)-(\d+)-of-(\d+)")


def existing_folder(name: str, *, where: str) -> Path:
    """Return the folder `name`. Raises UserError if there is none."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        hint = "the path of a folder, relative to the current one"
        raise UserError(f"no folder {folder.absolute()}", where=where, hint=hint)
    return folder


def split_files(folder: Path, suffix: str, *, where: str) -> dict[str, tuple[Path, ...]]:
    """Return the files of each split in `folder`: `SPLIT.suffix`, `SPLIT-*.suffix`, or the files in `SPLIT/`.

    A split may have any of its names in `SPLITS`. A warning lists the files that belong to no split. Raises UserError
    if there is no training split, if shards are missing, or if the files of a split use two names.
    """
    found: dict[str, tuple[Path, ...]] = {}
    for split, names in SPLITS.items():
        patterns = [
            form.format(name) for name in names for form in (f"{{}}.{suffix}", f"{{}}-*.{suffix}", f"{{}}/*.{suffix}")
        ]
        ways = {pattern: tuple(sorted(folder.glob(pattern))) for pattern in patterns}
        ways = {pattern: files for pattern, files in ways.items() if files}
        if len(ways) > 1:
            what = f"the {split} split could be {' or '.join(ways)}"
            raise UserError(what, where=f"{where}, folder {folder.absolute()}", hint="keep one of them in the folder")
        for files in ways.values():
            _check_shards(files, where=f"{where}, {split} split")
            found[split] = files
    if "train" not in found:
        missing = f"no {folder.absolute() / f'train.{suffix}'}"
        raise UserError(missing, where=where, allowed=f"train.{suffix}, train-*.{suffix} or train/*.{suffix}")
    unread = set(folder.glob(f"*.{suffix}")) - {file for files in found.values() for file in files}
    if unread:
        log.warning("%s: not read, because they name no split: %s", where, ", ".join(sorted(f.name for f in unread)))
    return found


def _check_shards(files: tuple[Path, ...], *, where: str) -> None:
    """Raise UserError if files named like `NAME-00000-of-00003` are not complete."""
    shards = [match for file in files if (match := SHARD.fullmatch(file.stem))]
    if not shards:
        return
    counts = {int(shard[3]) for shard in shards}
    if len(counts) > 1:
        raise UserError(f"the shards belong to sets of {' and '.join(map(str, sorted(counts)))} files", where=where)
    missing = set(range(counts.pop())) - {int(shard[2]) for shard in shards}
    if missing:
        stem, digits, count = shards[0][1], len(shards[0][2]), shards[0][3]
        names = [f"{stem}-{number:0{digits}}-of-{count}{files[0].suffix}" for number in sorted(missing)]
        raise UserError(f"files are missing: {', '.join(names[:5])}", where=where)

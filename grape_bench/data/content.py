"""One hash for the content of a local file or folder that a job loads."""

from __future__ import annotations

import os
from hashlib import file_digest, sha256
from pathlib import Path

from grape_bench.data.cache import remembered


def content_hash(path: Path, suffix: str = "") -> str:
    """16 hex digits for the content of a file, or for the names and contents of all files in a folder.

    With a `suffix` such as `.csv`, only files with this suffix count. The location of the folder does not matter.
    Hidden files and `__pycache__` are skipped, and links are followed. The result is remembered until the name, size,
    time or inode of a file changes. Raises OSError.
    """
    files = [path] if path.is_file() else [file for file in _files(path) if file.name.endswith(suffix)]
    return remembered("content", path, files, lambda: _hash(path, files))


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        # A link to a parent folder would be followed forever.
        folders[:] = sorted(name for name in folders if not (name.startswith(".") or name == "__pycache__"))
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        found += [Path(root, name) for name in sorted(names) if not name.startswith(".")]
    return [file for file in found if file.is_file()]


def _hash(path: Path, files: list[Path]) -> str:
    digest = sha256()
    for file in files:
        with file.open("rb") as opened:
            content = file_digest(opened, "sha256").hexdigest()
        digest.update(f"{file.relative_to(path).as_posix() if file != path else ''}\0{content}\n".encode())
    return digest.hexdigest()[:16]

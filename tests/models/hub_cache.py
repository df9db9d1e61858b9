"""The download cache of the Hugging Face libraries."""

import shutil
from pathlib import Path

COMMIT = "0" * 40


def store(files: Path, cache: Path, name: str) -> None:
    """Copy `files` into `cache`, as if `name` (OWNER/NAME) had been downloaded."""
    folder = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(files, folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)

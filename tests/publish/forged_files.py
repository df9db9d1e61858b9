"""Forgeries of the files of a publication."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.publish.authored import Forge, reworded, runs_of


def duplicate_key_in_a_record(folder: Path) -> None:
    reworded(runs_of(folder, "Mine")[0][0] / "record.json", '"status":', '"status": "crashed",\n "status":')


def file_called(name: str, mode: int = 0o644) -> Forge:
    def extra(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"extra")
        path.chmod(mode)

    extra.__name__ = f"file_{name}"
    return extra


def an_executable(folder: Path) -> None:
    (folder / "table.csv").chmod(0o755)


def a_fifo(folder: Path) -> None:
    os.mkfifo(folder / "runs" / "pipe")


def a_link_to_a_folder(folder: Path) -> None:
    (folder / "runs" / "more").symlink_to("/tmp")


def an_empty_folder(folder: Path) -> None:
    (folder / "empty").mkdir()


def a_verification(folder: Path) -> None:
    content = json.loads((folder / "index.json").read_text())
    (folder / "verification.json").write_text(json.dumps({"id": content["id"], "badge": "verified", "reruns": []}))


def other_constraints(folder: Path) -> None:
    (folder / "constraints.txt").write_text("torch @ https://example.org/torch.whl\n")


def a_user_file_that_no_run_used(folder: Path) -> None:
    (folder / "code" / ("0" * 16)).mkdir()
    (folder / "code" / ("0" * 16) / "more.py").write_text("")

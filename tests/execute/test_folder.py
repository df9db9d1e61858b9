"""The output folder: refused if it is not writable, and locked by one run at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.execute.folder import LOCK, check_folder, locked, make_folder


def test_a_folder_that_does_not_exist_yet_is_fine_and_is_not_created(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


def test_a_file_at_this_path_or_above_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for folder in (tmp_path / "runs", tmp_path / "runs" / "quickstart"):
        with pytest.raises(UserError, match=r"runs: is a file, not a folder\n  try: another folder, with --out DIR"):
            check_folder(folder)


def test_a_folder_that_the_system_refuses_is_an_error() -> None:
    with pytest.raises(UserError, match="--out DIR"):
        make_folder(Path("/proc/runs"))


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UserError, match=r"another run \(process \d+\)"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    dies = (
        "import os, sys; from pathlib import Path; from grape_bench.execute.folder import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", dies, str(tmp_path)]).returncode == -9
    assert (tmp_path / LOCK).read_text().strip().isdigit()
    with locked(tmp_path):
        pass

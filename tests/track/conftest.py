"""Tests here make a new MLflow database by copying one, since MLflow needs seconds for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from grape_bench.track import database


@pytest.fixture
def copied(new_database: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """What makes a database in the test: a copy of the new one."""

    def copy(path: Path) -> None:
        shutil.copyfile(new_database, path)

    monkeypatch.setattr(database, "_make", copy)
    return copy


@pytest.fixture
def uri(copied: Callable[[Path], None], tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"

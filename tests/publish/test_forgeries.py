"""A careful forger edits a publication so that everything agrees. Each forgery has a check that finds it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from grape_bench.publish import checks
from grape_bench.publish.index import write_index
from grape_bench.publish.submission import read_submission
from tests.publish.authored import Forge, publish, settle
from tests.publish.forgeries import FILES, FORGERIES


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("author"))


@pytest.fixture
def folder(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "Mine"))


def failing(folder: Path, *names: str) -> list[str]:
    return [outcome.name for outcome in checks.run(read_submission(folder), names or checks.NAMES) if not outcome.ok]


def test_the_honest_publication_passes_every_check(folder: Path) -> None:
    assert failing(folder) == []


def test_making_everything_agree_changes_nothing_in_an_honest_publication(folder: Path) -> None:
    before = (folder / "index.json").read_bytes()
    settle(folder)
    assert (folder / "index.json").read_bytes() == before


@pytest.mark.parametrize(("forge", "check"), FORGERIES, ids=[forge.__name__ for forge, _ in FORGERIES])
def test_a_consistent_forgery(folder: Path, forge: Forge, check: str) -> None:
    forge(folder)
    settle(folder)
    assert failing(folder, "files", check) == [check]


@pytest.mark.parametrize(("forge", "check"), FILES, ids=[forge.__name__ for forge, _ in FILES])
def test_a_forgery_of_the_files(folder: Path, forge: Forge, check: str) -> None:
    forge(folder)
    write_index(folder)
    assert failing(folder, check) == [check]

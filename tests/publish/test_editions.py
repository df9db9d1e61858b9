"""Results that a newer version replaced: they load by name, have a page of their own, and are never a reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import grape_bench as gb
from grape_bench.publish.editions import superseded
from grape_bench.publish.site import build

RESULTS = Path(__file__).parents[2] / "results"
SUPERSEDED = sorted((RESULTS / "superseded").glob("*/"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The maintainers' results with a suite of which an earlier version was recorded too."""
    root = tmp_path_factory.mktemp("maintainers") / "results"
    for part in ("quickstart", "superseded/quickstart@1.1"):
        shutil.copytree(RESULTS / part / "runs", root / part / "runs")
    return root


@pytest.mark.parametrize("folder", SUPERSEDED, ids=lambda folder: folder.name)
def test_a_superseded_table_loads_by_suite_and_version(folder: Path) -> None:
    table = gb.load(folder.name)
    assert len(table) > 0 and gb.load(folder.name.partition("@")[0]).shape != table.shape
    assert (folder / "README.md").is_file()  # it says what replaced the results, and why


def test_the_table_of_another_version_names_what_there_is() -> None:
    with pytest.raises(gb.UserError, match=r"quickstart@1.1"):
        gb.load("quickstart@1.2")


def test_the_site_shows_the_versions_with_their_dates_and_ranks_only_the_last(root: Path, tmp_path: Path) -> None:
    (board,) = build(root, tmp_path)
    assert board.edition is not None and board.edition.version == "2.0"
    assert [(one.version, one.date) for one in board.earlier] == [("1.1", "2026-11-27")]
    assert board.results is not None and {record.job.version for record in board.results.records} == {"2.0"}
    start = " ".join((tmp_path / "index.html").read_text().split())
    assert f"Version 2.0, {board.edition.date}. Earlier: " in start
    assert 'href="quickstart%401.1/index.html">1.1, 2026-11-27</a>.' in start
    page = (tmp_path / "quickstart@1.1" / "index.html").read_text()
    assert f"superseded by version 2.0 of {board.edition.date}" in page and "quickstart 1.1" in page
    assert "superseded" not in (tmp_path / "quickstart" / "index.html").read_text()


def test_a_suite_whose_name_starts_alike_has_no_part_in_it(root: Path) -> None:
    assert [edition.name for edition in superseded(root, "quickstart")] == ["quickstart@1.1"]
    assert not superseded(root, "quick") and not superseded(root, "quickstart@1") and not superseded(root, "*")

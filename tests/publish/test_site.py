import shutil
from pathlib import Path

import pytest

from grape_bench.errors import UserError
from grape_bench.publish.pack import About, pack
from grape_bench.publish.site import build
from tests.publish.test_verify import RECORDED


def test_publications_and_plain_runs_of_a_suite_share_a_page(tmp_path: Path) -> None:
    root = tmp_path / "results"
    for rule in ("grape", "fa"):
        pack(RECORDED, rule, root, About(paper="<who>"))
    (board,) = build(root, tmp_path / "site")
    assert set(board.results.rules) == {"bp", "head-only", "dfa", "grape", "fa"}
    assert all(len(cell.records) == 3 for cell in board.results.grid.values())  # shared references count once
    assert [(entry.rule, entry.badge) for entry in board.entries] == [("fa", "recomputed"), ("grape", "recomputed")]
    overview = (tmp_path / "site" / "index.html").read_text()
    assert 'href="vision-small/index.html"' in overview and "&lt;who&gt;" in overview
    assert (tmp_path / "site" / "vision-small" / "index.html").is_file()


def test_a_folder_that_was_tampered_with_is_only_reported(tmp_path: Path) -> None:
    folder = pack(RECORDED, "fa", tmp_path / "results", About())
    (folder / "extra").touch()
    (board,) = build(tmp_path / "results", tmp_path / "site")
    assert board.entries[0].badge == "reported"


def test_plain_runs_alone_make_a_page(tmp_path: Path) -> None:
    shutil.copytree(RECORDED, tmp_path / "results" / "vision-small" / "runs")
    (board,) = build(tmp_path / "results", tmp_path / "site")
    assert not board.entries and len(board.results.rules) == 7


def test_a_folder_without_publications_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no publications in this folder"):
        build(tmp_path, tmp_path / "site")

"""README.md shows the table and a picture of the recorded suite core."""

from pathlib import Path

from benchmarks import front_page
from grape_bench.record.folder import read_records
from grape_bench.report import csv
from grape_bench.score.table import score

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "results" / "core"


def test_the_front_page_shows_the_recorded_credits() -> None:
    front = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"<!-- python -m benchmarks.front_page -->\n\n{front_page.table()}\n\n<!-- end -->" in front
    assert "(results/core/profile.svg)" in front and (RECORDED / "profile.svg").is_file()


def test_the_recorded_table_can_be_recomputed() -> None:
    written = (RECORDED / "table.csv").read_text(encoding="utf-8")
    assert csv.scores_text(score(read_records(RECORDED / "runs"))) == written

"""README.md shows the figure and the table of the recorded quickstart."""

from pathlib import Path

from grape_bench.record.folder import read_records
from grape_bench.report import csv
from grape_bench.score.table import score

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "results" / "quickstart"


def rows(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("| ")]


def test_the_front_page_shows_the_recorded_report() -> None:
    front, report = (path.read_text(encoding="utf-8") for path in (ROOT / "README.md", RECORDED / "README.md"))
    by_task = report[report.index("## By task") : report.index("## All tasks")]
    assert rows(front) == rows(by_task)
    assert "(results/quickstart/results.svg)" in front and (RECORDED / "results.svg").is_file()


def test_the_recorded_table_can_be_recomputed() -> None:
    assert csv.text(score(read_records(RECORDED / "runs"))) == (RECORDED / "table.csv").read_text(encoding="utf-8")

from grape_bench.report import readme
from grape_bench.score.results import results
from tests.report.curves import curves
from tests.score.records import failed, make, suite


def test_the_page_has_tables_figures_and_provenance() -> None:
    records = [*suite(3), make("a.py:My_Rule")]
    text = readme.render(results(records, curves(records)), {"results.svg": "Ends", "ranks.svg": "Ranks"})
    assert text.count("| rule ") >= 5 and "![Ranks](ranks.svg)" in text
    assert "| Hardware | cpu-x |" in text and "| Records | 49 (49 finished) |" in text
    assert "lack a result on some task: My\\_Rule" in text
    assert "\n\n\n" not in text


def test_sections_without_content_are_left_out() -> None:
    text = readme.render(results([make("bp"), failed("fa", 0, "oom")]), {})
    assert "All tasks" not in text and "Time to result" not in text and "Figures" not in text
    assert "2 (1 finished, 1 oom)" in text


def test_times_show_how_many_seeds_reached_the_target() -> None:
    row = {"samples": 12000.0, "seconds": 8.12, "reached": 3, "n": 3}
    assert readme.target_text(row) == "12,000 (8.1 s)"
    assert readme.target_text({**row, "seconds": float("nan"), "reached": 2}) == "12,000 2/3"
    assert readme.target_text({**row, "samples": float("nan"), "reached": 1}) == "– 1/3"

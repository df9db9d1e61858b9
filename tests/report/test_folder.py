import re
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from grape_bench.cli.report import command
from grape_bench.errors import UserError
from grape_bench.report import folder
from grape_bench.report.folder import _part
from grape_bench.score.results import results
from grape_bench.track.runs import read_runs
from tests.report.curves import curves
from tests.report.runs import diagnostics, on_disk, with_flops
from tests.score.records import RULES, make, suite

FILES = {"README.md", "index.html", "table.csv", "table.tex", "table-notes.tex"}


def figures(*names: str) -> set[str]:
    return {f"{name}.{ending}" for name in names for ending in ("svg", "pdf")}


def names(path: Path) -> set[str]:
    return {file.name for file in path.iterdir()}


def test_a_folder_of_runs_becomes_a_report(tmp_path: Path) -> None:
    runs = on_disk(tmp_path / "runs", suite(3, ("digits-mlp",)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.md").write_text("What was *learned*.")
    result = CliRunner().invoke(command, [str(runs), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "digits-mlp" in result.output and "head-only" in result.output
    page = (tmp_path / "out" / "README.md").read_text()
    assert page.startswith("# quickstart 1.0\n\nWhat was *learned*.\n\n![")
    assert names(tmp_path / "out") == {"notes.md"} | FILES | figures("results", "tradeoff", "profile", "ranks")
    assert set(pd.read_csv(tmp_path / "out" / "table.csv")["rule"]) == set(RULES)
    assert "missing  curve.csv" not in result.output
    next(runs.rglob("curve.csv")).unlink()
    result = CliRunner().invoke(command, [str(runs), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0 and "missing  curve.csv of 1 run," in result.output


def test_figures_are_as_wide_as_the_column_of_a_paper(tmp_path: Path) -> None:
    runs = on_disk(tmp_path / "runs", suite(2, ("digits-mlp",)))
    result = CliRunner().invoke(command, [str(runs), "-o", str(tmp_path / "out"), "--width", "5.5in"])
    assert result.exit_code == 0, result.output
    for path in (tmp_path / "out").glob("*.svg"):
        width = float(re.search(r'<svg[^>]* width="([\d.]+)pt"', path.read_text()).group(1))  # type: ignore[union-attr]
        assert width <= 5.5 * 72, path.name


def test_several_folders_make_one_report(tmp_path: Path) -> None:
    records = suite(3, ("digits-mlp",))
    own = on_disk(tmp_path / "own", [r for r in records if r.rule == "grape"])
    others = on_disk(tmp_path / "others" / "runs", [r for r in records if r.rule != "grape"])
    assert len(read_runs(own, others.parent).records) == len(records)  # a published folder has its runs in runs/


def test_alignment_is_drawn_if_it_was_measured_and_sizes_if_tasks_differ_in_depth(tmp_path: Path) -> None:
    every = with_flops(suite(2, ("mlp-depth-2", "mlp-depth-4", "mlp-depth-8")))
    records = [record for record in every if record.rule in ("bp", "dfa", "head-only")]
    measured = {r.id: diagnostics(0.6) for r in records if r.rule in ("bp", "dfa")}
    drawn = folder.draw(results(records, curves(records), measured), tmp_path)
    assert {"alignment.svg", "scaling.svg"} <= set(drawn)
    assert set(folder.draw(results([make("bp")]), tmp_path)) == {"results.svg"}
    assert not names(tmp_path) & figures("alignment", "scaling")  # left over from the earlier report


def test_a_caption_says_what_a_figure_leaves_out() -> None:
    assert _part(["a", "b"], ["a", "b"]) == ""
    assert _part(["a"], ["a", "b", "c"], "rules") == " (the first 1 of 3 rules)"


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_records_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no records"):
        read_runs(tmp_path / name)

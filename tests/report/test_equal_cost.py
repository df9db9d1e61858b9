"""The comparison at equal cost as text, in a report's folder and through the command."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from grape_bench.cli.report import command
from grape_bench.errors import UserError
from grape_bench.report import equal_cost, folder, page
from grape_bench.report.page.data import data
from grape_bench.score.cell import cells
from grape_bench.score.equal_cost import equal_cost as equal_cost_of
from grape_bench.score.results import Results, results
from grape_bench.track.runs import read_runs
from tests.report.test_folder import FILES, figures, names
from tests.score.curves import Runs, merged, runs

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "results" / "quickstart" / "runs"
BP = runs("bp", 1.0, [50, 60, 70, 80])
TWICE = runs("x", 2.0, [60, 70, 80, 90], spread=0.1)
FROZEN = runs("frozen", 1.0, [65])


def scored(*groups: Runs, at: str | None = "seconds") -> Results:
    records, curves = merged(*groups)
    return results(records, curves, at=at)


def printed(found: Results, width: int = 80) -> str:
    assert found.equal is not None
    console = Console(file=io.StringIO(), width=width)
    console.print(equal_cost.terminal(found.equal))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def line(text: str, start: str) -> str:
    return next(" ".join(each.split()) for each in text.splitlines() if each.startswith(start))


def test_the_terminal_shows_scores_words_and_flips() -> None:
    text = printed(scored(BP, TWICE, FROZEN))
    assert line(text, "x ") == "x 3† 2.00 – 60.00 ± 0.25 70.00 ± 0.25"
    assert line(text, "frozen ") == "frozen 3† – 65.00 ± 0.00 65.00 ± 0.00 65.00 ± 0.00"
    assert line(text.partition("at 1 of")[2], "x ").startswith("x 0.50 -10.00 ± 0.25 worse")
    assert line(text.partition("pairs flip")[2], "x ") == "x bp +10.00 ± 0.25 -10.00 ± 0.25 1.00 all along yes"
    assert "1 of 1 pairs flip, 1 resolved" in text


def test_a_run_that_ended_is_marked() -> None:
    assert " 50.00 ± 0.00*" in line(printed(scored(BP, runs("x", 0.4, [40, 50]))), "x ")


def test_our_own_words_do_not_wrap_in_80_columns() -> None:
    cells = [runs(rule, 1.0 + i, [40, 60, 70 + i], spread=19 - 3 * i) for i, rule in enumerate(("dfa+anchor", "dfa"))]
    text = printed(scored(runs("bp", 1.0, [60, 61, 62], spread=9), *cells, runs("grape+anchor", 3.0, [60, 70, 99])))
    assert max(map(len, text.splitlines())) <= 80
    for word in ("grape+anchor", "dfa+anchor", "n too small", "all along", "resolved", "equal samples"):
        assert word in text, word


def test_a_long_name_folds_and_numbers_do_not() -> None:
    text = printed(scored(BP, runs("my/rules.py:AnExtremelyLongNameOfARule", 2.0, [60, 70, 80, 90], spread=0.1)))
    assert max(map(len, text.splitlines())) <= 80 and "+10.00 ± 0.25" in text and "…" not in text


def test_the_caption_says_what_the_numbers_are() -> None:
    cosine = [runs(rule, 2.0, [60, 70], task="t", schedule="cosine") for rule in ("bp", "x")]
    found = scored(BP, TWICE, *cosine).equal
    assert found is not None
    said = " ".join(equal_cost.caption(found))
    assert "learning curves hold no test scores" in said and "step ÷ BP of the profiles" in said
    assert "(cosine: t)" in said and "Holm over all pairs of the task" in said


def test_a_flip_within_a_schedule_is_marked() -> None:
    cosine = [
        runs(rule, cost, ends, schedule="cosine") for rule, cost, ends in (("bp", 1.0, [70]), ("x", 2.0, [60, 80]))
    ]
    assert "1 of 1 pairs flip, 1 resolved, in the middle of a cosine schedule" in printed(scored(*cosine))
    assert "schedule" not in printed(scored(BP, TWICE))


def test_a_long_list_of_flips_is_cut_to_the_clearest() -> None:
    many = [runs(f"x{i}", 2.0, [60, 90], spread=0.1 + i) for i in range(18)]
    found = scored(runs("bp", 1.0, [70, 80]), *many)
    assert found.equal is not None
    (flips,) = equal_cost.flips(found.equal, "digits-mlp")
    assert flips.heading.endswith("the 15 clearest:") and [row[0] for row in flips.rows] == [f"x{i}" for i in range(15)]
    assert sum(pair.flips for pair in found.equal.pairs) == 18


def test_equal_samples_have_no_flips() -> None:
    text = printed(scored(BP, TWICE, at="samples"))
    assert "flip" not in text and line(text, "x ") == "x 3† 1.00 60.00 ± 0.25 70.00 ± 0.25 90.00 ± 0.25"


def test_perplexity_says_its_scale_and_direction() -> None:
    metric = {"name": "perplexity", "unit": "", "chance": 100.0}
    text = printed(scored(runs("bp", 1.0, [40, 30], metric=metric), runs("x", 2.0, [40, 20], metric=metric)))
    assert "validation perplexity" in text and "-0.29" in text  # ln 30 - ln 40
    assert "differences are in minus its logarithm" in " ".join(text.split())


def test_markdown_has_every_budget_and_escapes_names() -> None:
    found = scored(BP, runs("my.py:A<b>|x", 2.0, [60, 70, 80, 90])).equal
    assert found is not None
    text = equal_cost.render(found)
    assert [f"at {budget} of BP's whole training" in text for budget in ("0.25", "0.5", "1")] == [True] * 3
    assert "A\\<b\\>\\|x" in text and "<b>" not in text.replace("\\<b\\>", "")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the report at equal cost."""
    path = tmp_path_factory.mktemp("report")
    folder.write(scored(BP, TWICE, FROZEN), path)
    return path


def test_a_report_gets_two_files_a_figure_and_a_section(report: Path, tmp_path: Path) -> None:
    shutil.copytree(report, tmp_path, dirs_exist_ok=True)
    table, pairs = (pd.read_csv(tmp_path / name) for name in ("equal-cost.csv", "equal-cost-pairs.csv"))
    assert len(table) == 9 and table["budget"].unique().tolist() == [0.25, 0.5, 1.0]
    assert pairs.iloc[0][["first", "second", "flips", "flip_is"]].tolist() == ["x", "bp", True, "resolved"]
    assert (tmp_path / "equal-cost.svg").stat().st_size > 1000 and (tmp_path / "equal-cost.pdf").exists()
    readme = (tmp_path / "README.md").read_text()
    assert "## At equal cost" in readme and readme.count("](equal-cost.svg)") == 1
    assert "At equal cost: seconds" in (tmp_path / "index.html").read_text()
    folder.write(scored(BP, TWICE, FROZEN, at=None), tmp_path)
    assert not [file.name for file in tmp_path.iterdir() if "equal" in file.name], "left over from the earlier report"


def test_a_report_is_reproducible(report: Path, tmp_path: Path) -> None:
    """It has every file of a report without the option."""
    folder.write(scored(BP, TWICE, FROZEN), tmp_path)
    assert names(report) == names(tmp_path) > FILES | figures("results", "tradeoff", "profile", "ranks", "equal-cost")
    for file in report.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name


def test_the_page_draws_curves_over_the_cost() -> None:
    found = scored(BP, TWICE, FROZEN, runs("y", 1.0, [50, 60], profile=None))
    embedded = data(found)
    (task,) = embedded["tasks"]
    assert embedded["curve"][-1]["name"] == "cost"
    assert task["rules"]["x"]["curve"]["cost"] == [0.5, 1.0, 1.5, 2.0]
    assert task["rules"]["y"]["curve"]["cost"] == [None, None]  # its cost is unknown
    assert 'data-rule="x" data-task="digits-mlp"' in page.render(found)


def test_without_the_option_nothing_changes() -> None:
    found = scored(BP, TWICE, at=None)
    assert found.equal is None and "cost" not in [axis["name"] for axis in data(found)["curve"]]


# The command, on the recorded quickstart.


def test_the_command_prints_the_recorded_quickstart_at_equal_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "draw", lambda *_: {})  # the figures take seconds, and other tests draw them
    done = CliRunner().invoke(command, [str(QUICKSTART), "-o", str(tmp_path), "--at", "seconds"])
    assert done.exit_code == 0, done.output
    assert len(re.findall(r"^\d+ of \d+ pairs flip, \d+ resolved$", done.output, re.MULTILINE)) == 2
    table = pd.read_csv(tmp_path / "equal-cost.csv").set_index(["task", "budget", "rule"])
    bp, grape = table.loc[("digits-mlp", 1.0, "bp")], table.loc[("digits-mlp", 1.0, "grape")]
    steps = pd.read_csv(QUICKSTART.parent / "table.csv").set_index(["task", "rule"])["step_ratio"]
    assert grape["whole_cost"] == pytest.approx(steps["digits-mlp", "grape"], rel=1e-5)
    assert bp["share"] == 1 and grape["share"] == pytest.approx(1 / grape["whole_cost"], rel=1e-4)


@pytest.mark.parametrize("at", ["samples", "flops", "critical-path"])
def test_other_costs_of_the_recorded_quickstart(at: str) -> None:
    found = read_runs(QUICKSTART)
    equal = equal_cost_of(cells(found.records), found.curves, at)
    assert equal.tasks == ["digits-mlp", "mnist1d-mlp"] and equal.notes == ()
    assert len(equal.table) == 2 * 3 * 10, "ten rules, two of them with open settings"
    assert len(equal.pairs) == 2 * 21, "the pairs of seven rules: open rows correct no other row"


def test_joules_of_a_cpu_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [str(QUICKSTART), "-o", str(tmp_path / "out"), "--at", "joules"])
    assert isinstance(done.exception, UserError) and done.exception.where == str(QUICKSTART)
    assert not (tmp_path / "out").exists()

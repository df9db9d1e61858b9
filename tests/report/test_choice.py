"""What a report shows: rules, names, columns, and the width of its figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from grape_bench.cli.report import command
from grape_bench.errors import UserError
from grape_bench.report import latex, markdown
from grape_bench.report.choice import Choice, inches, scored
from grape_bench.score.results import Results
from grape_bench.score.scaling import trends
from grape_bench.track.runs import Runs
from tests.report.runs import on_disk
from tests.score.records import RULES, make, suite


def chosen(**choice: object) -> Results:
    tasks = ("mlp-depth-2", "mlp-depth-4", "mlp-depth-8")
    records = [*suite(3, tasks), *(make("my.py:Mine", s, 93.0 + s, task=task) for s in range(3) for task in tasks)]
    return scored(Runs(records, {}, {}), Choice(**choice))  # type: ignore[arg-type]


def test_rules_come_in_the_given_order_and_keep_their_scores() -> None:
    every, few = chosen(), chosen(rules=["Mine", "grape"])
    assert few.rules == ["my.py:Mine", "grape"] and len(few.table) == 6
    for column in ("accuracy", "credit", "gap_closed", "p_bp", "vs_dfa"):
        whole = every.table.set_index(["task", "rule"])[column]
        assert few.table.set_index(["task", "rule"])[column].equals(whole.loc[list(zip(*keys(few), strict=True))])
    assert list(few.overall["rule"]) == [rule for rule in every.overall["rule"] if rule in few.rules]
    assert {trend.rule for trend in trends(few)} == set(few.rules), "the gap to BP is known without BP's row"


def keys(results: Results) -> tuple[list[str], list[str]]:
    return list(results.table["task"]), list(results.table["rule"])


def test_the_best_rule_is_sought_among_the_chosen_ones_and_the_references() -> None:
    few = chosen(rules=["bp", "dfa", "grape"])
    assert all("anchor" not in line and "Mine" not in line for line in few.table.attrs["best"].values())


def test_names_are_used_everywhere() -> None:
    found = chosen(names={"Mine": "Ours", "bp": "BP"})
    assert found.names["my.py:Mine"] == "Ours" and found.names["bp"] == "BP" and found.names["dfa"] == "dfa"
    for text in (latex.render(found.table, "t"), markdown.render(found.table)):
        assert "Ours" in text and "Mine" not in text
    assert "BP; resolved" in found.table.attrs["best"]["mlp-depth-2"]


def test_columns_make_one_table_in_the_given_order() -> None:
    found = chosen(rules=["bp"], columns=["vs_dfa", "p_dfa", "accuracy"])
    assert markdown.render(found.table).splitlines()[2].replace(" ", "") == "|rule|vsDFA|p,DFA|accuracy(n)|"


def test_lengths() -> None:
    assert inches("5.5in") == inches("5.5") == 5.5
    assert inches("397pt") == pytest.approx(5.493, abs=1e-3) and inches("14cm") == pytest.approx(5.512, abs=1e-3)


@pytest.mark.parametrize(
    ("choice", "what"),
    [
        ({"rules": ["grap"]}, "did you mean 'grape'"),
        ({"names": {"dfa": "grape"}}, "two rules are called 'grape': dfa, grape"),
        ({"names": {"dfa": " "}}, "the name of dfa is empty"),
        ({"columns": ["acuracy"]}, "did you mean 'accuracy'"),
        ({"columns": ["perplexity"]}, "no row has a value of 'perplexity'"),
    ],
)
def test_what_the_records_do_not_have_is_refused(choice: dict[str, object], what: str) -> None:
    with pytest.raises(UserError, match=what):
        chosen(**choice)


@pytest.mark.parametrize("width", ["1in", "5.5em", "-5in", "wide", "1000pt x"])
def test_a_width_that_fits_no_column_is_refused_before_anything_is_written(tmp_path: Path, width: str) -> None:
    runs = on_disk(tmp_path / "runs", suite(1, ("digits-mlp",)))
    result = CliRunner().invoke(command, [str(runs), "-o", str(tmp_path / "out"), "--width", width])
    assert isinstance(result.exception, UserError) and not (tmp_path / "out").exists()


def test_the_command_shows_what_was_chosen(tmp_path: Path) -> None:
    runs = on_disk(tmp_path / "runs", suite(3, ("digits-mlp",)))
    options = ["--rules", "grape, bp", "--name", "grape=Ours", "--columns", "accuracy,credit"]
    result = CliRunner().invoke(command, [str(runs), "-o", str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    rows = [line for line in (tmp_path / "out" / "README.md").read_text().splitlines() if " ± " in line]
    assert rows[0].startswith("| Ours") and rows[1].startswith("| bp") and len(RULES) > 2
    assert "Ours" in result.output and "Ours" in (tmp_path / "out" / "index.html").read_text()

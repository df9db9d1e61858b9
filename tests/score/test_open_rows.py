"""An open row: settings that anyone sent. It is compared with the references, and changes no other row."""

from __future__ import annotations

import math
from typing import Any

import pytest

from grape_bench.errors import UserError
from grape_bench.record.record import Record
from grape_bench.report.text import caption, names_of
from grape_bench.score.cell import cells
from grape_bench.score.compare import Side, compare_sides
from grape_bench.score.ladder import blocks_worth
from grape_bench.score.results import results
from grape_bench.score.sequential import unsettled
from grape_bench.score.table import score
from tests.score.records import make, suite
from tests.score.test_ladder import ladder

TASKS = ("digits-mlp", "digits-vit")
OTHER = {"optimizer": {"name": "adamw", "lr": 0.02}}


def tuned(tasks: tuple[str, ...] = TASKS) -> list[Record]:
    """Five seeds of every rule with tuned settings."""
    return [
        make(one.rule, one.seed, one.test, task=one.task, trials=8, space={"lr": {"log": [1e-4, 0.1]}})
        for one in suite(5, tasks)
    ]


def opened(rule: str = "bp:open", test: float = 99.5, *, tasks: tuple[str, ...] = TASKS, **more: Any) -> list[Record]:
    """Five seeds that are better than every other row."""
    by = {"open_by": "Jane Doe", **OTHER, **more}
    return [make(rule, seed, test + seed / 100, task=task, **by) for task in tasks for seed in range(5)]


def rows(records: list[Record]) -> dict[tuple[str, str], dict[Any, Any]]:
    return {(row["task"], row["rule"]): row for row in score(records).to_dict("records")}


def test_it_stands_right_below_its_rule_wherever_its_records_are() -> None:
    records = [*opened("dfa:open"), *opened(), *tuned()]
    rules = list(score(records)["rule"])
    assert rules[:5] == ["bp", "bp:open", "fa", "dfa", "dfa:open"] and rules.count("bp:open") == 2
    alone = score([*opened("dfa:open"), *(one for one in tuned() if one.rule != "dfa")])
    assert "dfa:open" in set(alone["rule"]), "and somewhere if the rule has no record"


def test_it_changes_no_other_row_and_credit_keeps_the_equal_budget_as_1() -> None:
    alone, beside = rows(tuned()), rows([*opened(), *tuned()])
    for key, row in alone.items():
        others = {name: value for name, value in beside[key].items() if name != "open_by"}
        assert others == pytest.approx(row, nan_ok=True)
        assert beside[key]["open_by"] == ""
    assert beside["digits-mlp", "bp"]["credit"] == 1 < beside["digits-mlp", "bp:open"]["credit"]


def test_it_is_compared_in_words_like_any_row() -> None:
    row = rows([*opened(), *tuned()])["digits-mlp", "bp:open"]
    assert (row["vs_bp"], row["vs_dfa"], row["vs_control"]) == ("better", "better", "better")
    assert rows([*opened("dfa:open"), *tuned()])["digits-mlp", "dfa:open"]["vs_dfa"] == "better"


def test_it_is_never_ranked() -> None:
    table, plain = score([*opened(), *tuned()]), score(tuned())
    assert table.attrs["best"] == plain.attrs["best"]
    assert math.isnan(table.set_index("rule")["p_best"]["bp:open"].iloc[0])
    found = results([*opened(), *tuned()])
    assert "bp:open" in found.rules and "bp:open" not in found.ranked
    for ranking in (found.overall["rule"], found.better.index, found.better.columns, found.profile.columns):
        assert len(ranking) == 8 and "bp:open" not in set(ranking)
    assert found.overall.attrs["best"] == results(tuned()).overall.attrs["best"]


def test_a_tuned_table_accepts_it_but_not_another_task() -> None:
    for trials in (1, 3):
        score([*opened(trials=trials), *tuned()])
    with pytest.raises(UserError, match="unequal budgets cannot share a table: epochs = 20 for bp but 40 for bp:open"):
        score([*opened(epochs=40), *tuned()])
    with pytest.raises(UserError, match="trials = 8 for bp but 1 for dfa:other"):
        score([*opened("dfa:other"), *tuned()])


def test_its_number_of_trials_is_unknown_and_csv_says_who_sent_it() -> None:
    table = score([*opened(), *tuned()]).set_index("rule")
    assert set(table["trials"].drop("bp:open")) == {8} and table["trials"]["bp:open"].isna().all()
    assert set(table["open_by"]["bp:open"]) == {"Jane Doe"}
    assert "open_by" not in score(tuned()), "a table without open rows has no such column"


def test_it_is_marked_and_the_caption_says_by_whom_and_where() -> None:
    table = score([*opened(), *opened("dfa:open", open_by="J. Roe", rule_settings={"noise": 0.1}), *tuned()])
    assert names_of(table)["bp:open"] == "bp:open§" and names_of(table)["bp"] == "bp"
    assert (
        "§ open settings by Jane Doe (bp), J. Roe (dfa): chosen with any number of trials, see"
        " baselines/quickstart/open.toml. An open row is no reference and is not ranked."
    ) in caption(table)
    assert "the best of 8 trials for each rule" in caption(table) and "Set by hand" not in caption(table)
    assert "§" not in caption(score(tuned()))


def test_it_is_no_rung_of_the_ladder() -> None:
    open_rung = [make("last-1:open", seed, 89.0, rule_settings={"blocks": 1}) for seed in range(2)]
    dfa = [make("dfa", seed, 85 + seed) for seed in range(2)]
    grid = cells([*ladder(), *open_rung, *dfa])
    assert blocks_worth(grid, "digits-mlp", "dfa") == blocks_worth(cells([*ladder(), *dfa]), "digits-mlp", "dfa") == 2
    assert blocks_worth(grid, "digits-mlp", "last-1:open") == pytest.approx(1 + 2 * 8.5 / 10)


def test_no_seeds_are_added_for_it() -> None:
    few = [one for one in [*opened(test=97.5), *tuned()] if one.seed < 2]
    assert not any("open" in line for line in unsettled(score(few), ()))
    assert any("bp:open" in line for line in unsettled(score(few), ("bp:open",)))


def test_any_rule_can_be_compared_with_it() -> None:
    records = [*opened(), *tuned()]
    (found,) = compare_sides(Side("runs", records, "grape"), Side("runs", records, "bp:open"))
    assert [task.verdict for task in found.tasks] == ["below", "below"]

"""Properties that must hold for all records. Hypothesis searches for counterexamples."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grape_bench.record.parts import Features
from grape_bench.record.record import Record
from grape_bench.score.columns import COLUMNS
from grape_bench.score.table import score
from tests.score.records import make, with_parts

RELATIVE_TO_ALL = [column.name for column in COLUMNS if column.of_table]
RULES = ("bp", "head-only", "frozen", "dfa", "x", "y")
accuracies = st.floats(10, 100).map(lambda x: round(x, 2))
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def tables(draw: st.DrawFn) -> list[Record]:
    """Rules with a few seeds each on one or two tasks; some runs diverged. Includes the references."""
    records = []
    for task in ("a", "b")[: draw(st.integers(1, 2))]:
        for rule in RULES:
            for seed in draw(st.sets(st.integers(0, 4), min_size=1)):
                status = draw(st.sampled_from(["finished"] * 4 + ["diverged"]))
                features = Features(test=draw(accuracies), test_error=0.1, validation=50.0, penalty=1.0)
                part = None if status == "diverged" else features
                records.append(make(rule, seed, draw(accuracies), task=task, status=status, features=part))
    return records


def rows(records: list[Record]) -> pd.DataFrame:
    return score(records).sort_values(["task", "rule"], ignore_index=True)


@quick
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_records_changes_nothing(records: list[Record], random: Any) -> None:
    shuffled = list(records)
    random.shuffle(shuffled)
    pd.testing.assert_frame_equal(rows(shuffled), rows(records), check_exact=True)


@quick
@given(tables())
def test_no_column_but_those_of_the_table_depends_on_another_entrant(records: list[Record]) -> None:
    """Credit and every other column of a row use its own runs and the references: BP, DFA and the control."""
    others = [record for record in records if record.rule != "y"]
    before = rows(others).drop(columns=list(RELATIVE_TO_ALL), errors="ignore")
    after = rows(records)
    after = after[after["rule"] != "y"].reset_index(drop=True)
    # A column appears with the first rule that has a value for it, such as a diverged seed's status.
    new = set(after) - set(before) - set(RELATIVE_TO_ALL)
    own = after[after["rule"] != "bp"]  # BP's ratio to itself is 1 wherever there is such a column
    assert all((own[name].isna() | (own[name] == "")).all() for name in new)
    assert "credit" in before
    pd.testing.assert_frame_equal(after[list(before)], before, check_exact=True)


@quick
@given(tables(), st.integers(0, 100))
def test_a_diverged_run_never_helps(records: list[Record], pick: int) -> None:
    own = [i for i, r in enumerate(records) if r.rule == "x" and r.status == "finished"]
    if not own:
        return
    place = own[pick % len(own)]
    broken = list(records)
    broken[place] = with_parts(records[place], status="diverged")
    task = records[place].task

    def row(table: pd.DataFrame) -> dict[str, Any]:
        (one,) = table[(table["task"] == task) & (table["rule"] == "x")].to_dict("records")
        return one

    before, after = row(score(records)), row(score(broken))
    assert after["accuracy"] <= before["accuracy"] and after["n"] == before["n"]
    if before.get("norm_acc", 0) > 0:
        assert after["norm_acc"] <= before["norm_acc"]

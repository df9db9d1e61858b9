"""Seeds that are added until a table is settled: the plan of the looks, and an error rate that counts them all."""

from __future__ import annotations

import numpy as np
import pytest

from grape_bench.record.record import Record
from grape_bench.report.text import caption
from grape_bench.score.inference import one_sided, over_looks, paired_t
from grape_bench.score.sequential import looks, unsettled
from grape_bench.score.table import score
from tests.score.records import make


def runs(rule: str, *values: float, looked: int | None = None) -> list[Record]:
    return [make(rule, seed, value, looks=looked) for seed, value in enumerate(values)]


def test_the_looks_are_planned_before_the_first_seed() -> None:
    assert looks(3, 10) == [3, 5, 8, 10] and looks(2, 3) == [2, 3] and looks(1, 3) == [1, 2, 3] and looks(5, 5) == [5]


def test_every_p_counts_every_look() -> None:
    # 1, 2, 3 points: p = 0.0742; with four looks 0.297.
    table = score([*runs("bp", 90, 90, 90, looked=4), *runs("x", 91, 92, 93, looked=4)])
    assert table["p_bp"].tolist()[1] == pytest.approx(4 * 0.0741799, rel=1e-5)
    assert table["p_best"].min() == pytest.approx(4 * 0.0741799, rel=1e-5)
    assert one_sided(1) == 0.9 and one_sided(4) == 0.975 and over_looks(0.5, 4) == 1.0


def test_a_credit_needs_more_with_more_looks() -> None:
    # BP - frozen: 2, 8, 5 with mean 5 and s = 3: the bound is 2.92 * 3 / sqrt(3) = 5.06, just too wide. With 1 less ...
    values = {"bp": (62.4, 68, 65), "frozen": (60, 60, 60)}

    def credit(looked: int | None) -> bool:
        records = [record for rule, row in values.items() for record in runs(rule, *row, looked=looked)]
        return bool(score(records)["credit"].notna().any())

    assert (credit(None), credit(4)) == (True, False)


def test_the_table_says_that_its_seeds_were_chosen_this_way() -> None:
    table = score([*runs("bp", 90, 91, 92, looked=4), *runs("dfa", 80, 81, 82.5, looked=4)])
    assert table["looks"].tolist() == [4, 4]
    assert "Seeds were added until the words were settled, with at most 4 looks" in caption(table)
    assert "looks" not in score(runs("bp", 90, 91))


def test_only_the_rules_under_test_keep_a_table_open() -> None:
    records = [*runs("bp", 90, 91, 92), *runs("dfa", 89, 92, 91), *runs("x", 80, 81, 82.1), *runs("y", 70, 99, 90)]
    table = score(records)
    assert unsettled(table, ("x",)) == []
    assert unsettled(table, ()) == ["digits-mlp y vs_bp", "digits-mlp y vs_dfa"]


def test_of_equal_rules_at_most_5_percent_are_called_different_at_any_look() -> None:
    draw, tables, planned = np.random.default_rng(0), 1500, looks(3, 10)
    samples = draw.normal(0, 1, (tables, planned[-1]))
    wrong = [any(over_looks(paired_t(list(one[:n])), len(planned)) < 0.05 for n in planned) for one in samples]
    naive = [any(paired_t(list(one[:n])) < 0.05 for n in planned) for one in samples]
    assert np.mean(wrong) < 0.05 < 0.09 < np.mean(naive)

"""`gb.load`: a recorded table, or a folder of runs, as a DataFrame."""

from __future__ import annotations

from pathlib import Path

import pytest

import grape_bench as gb
from grape_bench.errors import UserError

ROOT = Path(__file__).parents[2]


def test_a_recorded_table_by_its_name_and_by_its_folder() -> None:
    table = gb.load("quickstart")
    assert set(table["rule"]) >= {"bp", "dfa", "grape"} and set(table["n"]) == {5}
    assert table.equals(gb.load(ROOT / "results" / "quickstart" / "runs"))


def test_a_misspelled_name_suggests_the_right_one() -> None:
    with pytest.raises(UserError, match=r"did you mean 'quickstart'"):
        gb.load("quikstart")

"""A small form of the simulation: no word is wrong in much more than 5 % of tables, and the power grows with seeds."""

from __future__ import annotations

import pytest

from benchmarks import verdicts
from benchmarks.verdicts import Setting

TABLES = 150
ALLOWED = 0.05 + 2.6 * (0.05 * 0.95 / TABLES) ** 0.5  # 5 % and its sampling error in so few tables


@pytest.mark.parametrize("setting", [Setting(3, 2.0), Setting(5, 6.0)])
def test_a_false_word_is_said_in_at_most_5_percent_of_tables(setting: Setting) -> None:
    found = verdicts.errors(setting, TABLES)
    not_used = found.pop("the same, pooled variance")
    assert max(found.values()) <= ALLOWED, found
    assert not_used > 0.15, "pooling would be wrong for a rule that spreads more than the references"


def test_more_seeds_find_more() -> None:
    few, many = (verdicts.powers(Setting(n, 4.0), TABLES) for n in (3, 10))
    for statement in ("better, 8 points", "trained, 8 points", "credit, 8 points", "resolved from the best, 8 points"):
        assert many[statement] > few[statement] and many[statement] > 0.9, statement


def test_the_page_has_the_marks_between_which_the_table_is_written() -> None:
    from tests.test_prose import ROOT

    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert page.index(verdicts.BEGIN) < page.index("| % of tables") < page.rindex(verdicts.END)

"""A table in Python: a DataFrame inside, text when printed, and HTML in a notebook."""

from __future__ import annotations

from pathlib import Path

from grape_bench.report.result_table import ResultTable
from grape_bench.score.table import score
from tests.score.records import make


def test_it_is_shown_as_in_a_terminal_and_its_text_is_only_text() -> None:
    records = [make(rule, seed, 90.0 + seed) for rule in ("bp", "dfa") for seed in (0, 1)]
    table = ResultTable(score(records), Path("runs/quickstart"))
    assert list(table.frame["rule"]) == ["bp", "dfa"]
    assert "digits-mlp" in repr(table) and "accuracy" in repr(table)
    page = table._repr_html_()
    assert page.startswith("<pre>") and "digits-mlp" in page and "span" in page


def test_a_name_cannot_bring_html_into_a_notebook() -> None:
    records = [make("bp", 0, 90.0, task="<script>alert(1)</script>")]
    assert "<script>" not in ResultTable(score(records), Path())._repr_html_()

"""A column is declared once, and every output shows it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from grape_bench.report import csv, latex, markdown, page, reference, terminal
from grape_bench.score import columns
from grape_bench.score.quantity import Column, Kind, Shown
from grape_bench.score.results import results
from tests.report.curves import curves
from tests.score.records import suite

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "reports.md"

ADDED = Column(
    name="lines",
    heading="lines of code",
    meaning="Lines in the file of the rule.",
    value=lambda row: 1000 + len(row.cell.rule),
    format="d",
    shown=Shown.PRINT,
    caption="Lines: without comments.",
    axis="lines of code ÷ BP's",
    reference="rules.md",
    bp_is_1=True,
)


def outputs() -> dict[str, str]:
    """What each output shows of a small suite."""
    records = suite(2, ("digits-mlp",))
    scored = results(records, curves(records))
    console = Console(file=io.StringIO(), width=140)
    console.print(terminal.render(scored.table))
    return {
        "terminal": console.file.getvalue(),  # type: ignore[attr-defined]
        "markdown": markdown.render(scored.table),
        "latex": latex.render(scored.table, "t"),
        "csv": csv.text(scored.table),
        "page": page.render(scored).replace(page._asset("vendor/plotly-basic.min.js"), ""),
        "docs": reference.section(),
    }


def test_a_column_that_is_declared_appears_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    before = outputs()
    monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, ADDED))
    after = outputs()
    for name, text in after.items():
        shown = "`lines`" if name == "docs" else "1003"  # dfa: 1,000 + 3 letters
        assert shown in text and shown not in before[name], name
    for name in ("terminal", "markdown", "latex", "page"):
        assert "Lines: without comments." in " ".join(after[name].split()), name
    assert "Lines in the file of the rule." in after["page"] and "Lines in the file of the rule." in after["docs"]
    assert '<option value="lines">lines of code ÷ BP&#39;s</option>' in after["page"]  # an axis of the cost chart


def test_the_docs_list_the_columns_as_they_are_declared() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert reference.updated(text) == text, f"run `python -m grape_bench.report.reference {DOCS.relative_to(ROOT)}`"


def test_every_reference_to_the_docs_exists() -> None:
    for quantity in (*columns.COLUMNS, *columns.OVERALL):
        assert quantity.reference, quantity.name
        file, _, anchor = quantity.reference.partition("#")
        if not file.endswith(".md"):
            continue  # a paper
        headings = [line.lstrip("# ") for line in (DOCS.parent / file).read_text().splitlines() if line.startswith("#")]
        assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}, quantity.name


def test_names_are_unique_and_meanings_are_sentences() -> None:
    for table in (columns.COLUMNS, columns.OVERALL):
        assert len({quantity.name for quantity in table}) == len(table)
        assert all(quantity.meaning.endswith(".") and quantity.meaning[0] != " " for quantity in table)


def test_a_metric_brings_its_interval() -> None:
    names = {column.name for column in columns.COLUMNS}
    assert all(f"{column.name}_ci" in names for column in columns.COLUMNS if column.kind is Kind.METRIC)

"""The report as one Markdown page: tables, pictures, and where the numbers come from."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from grape_bench.report import markdown
from grape_bench.report.columns import ABSENT, Row, labels, number
from grape_bench.report.provenance import facts
from grape_bench.report.templates import text_template
from grape_bench.score.results import Results


def render(results: Results, pictures: Mapping[str, str], notes: str = "") -> str:
    """The page; `pictures` maps files (beside it) to what they show, `notes` is Markdown put first."""
    return text_template("readme.md.j2").render(
        title=title(results),
        notes=notes.strip(),
        table=markdown.render(results.table),
        overall=_overall(results),
        left_out=", ".join(labels(results.rules)[rule] for rule in results.overall.attrs.get("left_out", [])),
        targets=_targets(results),
        pictures=pictures,
        facts={name: markdown.escape(value) for name, value in facts(results.records).items()},
    )


def title(results: Results) -> str:
    """Suite and version."""
    records = results.records
    return f"{records[0].suite} {records[0].job.version}" if records else "No records"


def interval_text(row: Row, name: str) -> str:
    """`0.88 [0.86, 0.90]`."""
    if pd.isna(row[f"{name}_low"]):
        return number(row[name])
    return f"{number(row[name])} [{number(row[f'{name}_low'])}, {number(row[f'{name}_high'])}]"


def _overall(results: Results) -> str:
    names = labels(results.rules)
    rows = []
    for row in results.overall.to_dict("records"):
        mean = interval_text(row, "norm_acc")
        marked = f"**{mean}**" if row["best"] else mean
        name = markdown.escape(names[row["rule"]])
        rows.append(
            [name, marked, interval_text(row, "iqm"), number(row["rank"]), number(row["p"], 4), str(row["runs"])]
        )
    headings = ["rule", "norm acc, mean", "interquartile mean", "rank", "p", "runs"]
    return markdown.pipe_table(headings, rows, [True] + [False] * 5) if rows else ""


def _targets(results: Results) -> str:
    if results.targets.empty:
        return ""
    names, rows = labels(results.rules), []
    for (task, rule), group in results.targets.groupby(["task", "rule"], sort=False):
        cells = [target_text(row) for row in group.to_dict("records")]
        rows.append([str(task), markdown.escape(names[str(rule)]), *cells])
    headings = ["task", "rule", *(f"{100 * share:.0f} %" for share in results.targets["share"].unique())]
    return markdown.pipe_table(headings, rows, [True, True] + [False] * (len(headings) - 2))


def target_text(row: Row) -> str:
    """`12,000 (8.1 s)`; how many seeds got there where not all did."""
    seeds = "" if row["reached"] == row["n"] else f" {row['reached']:.0f}/{row['n']:.0f}"
    if pd.isna(row["samples"]):
        return f"{ABSENT}{seeds}"
    seconds = "" if pd.isna(row["seconds"]) else f" ({row['seconds']:.1f} s)"
    return f"{row['samples']:,.0f}{seconds}{seeds}"

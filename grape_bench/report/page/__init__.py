"""The report as a self-contained web page: a single file that needs no network and no server."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

import pandas as pd
from markupsafe import Markup

from grape_bench.errors import printable
from grape_bench.report import equal_cost, readme, text
from grape_bench.report.figures.ranks import by_mean
from grape_bench.report.page.data import costs_of, curve_axes, data
from grape_bench.report.templates import page_template
from grape_bench.score.columns import COLUMN, OVERALL
from grape_bench.score.quantity import ABSENT
from grape_bench.score.results import Results

UNFOLDED = 1000
"""The rows of the table that a page shows at once. A browser needs seconds for more, so a button shows them."""


class Publication(Protocol):
    """What a leaderboard knows about a rule."""

    @property
    def rule(self) -> str:
        """The name of the rule."""

    @property
    def version(self) -> str:
        """The version of the rule."""

    @property
    def paper(self) -> str:
        """The paper that describes it."""

    @property
    def badge(self) -> str:
        """How far its numbers were checked."""

    @property
    def reason(self) -> str:
        """Why it has no row in the table; empty if it has one."""


def render(results: Results, publications: Sequence[Publication] = (), notice: str = "") -> str:
    """The HTML: tables as text, and charts that are drawn by the plotly.js inside the page. `notice` is at the top."""
    names = results.names
    aligned = {task: alignment(results, task) for task in dict.fromkeys(task for task, _ in results.alignment)}
    return page_template("page.html.j2").render(
        title=readme.title(results),
        notice=notice,
        results=results,
        names=names,
        columns=text.on_page(results.table),
        rows=rows(results),
        unfolded=UNFOLDED,
        overall=OVERALL,
        curve_axes=curve_axes(results),
        equal=equal_cost.on_page(results.equal) if results.equal else None,
        equal_rules=[rule for of_task in results.equal.paths.values() for rule in of_task] if results.equal else [],
        equal_caption=" ".join(equal_cost.caption(results.equal)) if results.equal else "",
        costs=costs_of(results),
        credit=COLUMN["credit"],
        target=readme.target_text,
        caption=text.caption(results.table),
        notes=text.footnotes(results.table),
        best=text.best_lines(results.table),
        better=better(results),
        aligned=aligned,
        facts=readme.facts(results.records),
        publications=publications,
        style=style(),
        policy=policy("page.js", "vendor/plotly-basic.min.js"),
        script=script("page.js"),
        plotly=script("vendor/plotly-basic.min.js"),
        data=_embedded(data(results)),
    )


def rows(results: Results) -> list[dict[str, Any]]:
    """One dictionary per row: `rule`, `name`, `task`, and `texts`, a list of (column, text, sort value)."""
    shown = text.on_page(results.table)
    names = text.names_of(results.table)
    return [
        {
            "rule": row["rule"],
            "name": names[row["rule"]],
            "task": row["task"],
            "texts": [(item, item.text(row), _sort_value(row[item.column.name])) for item in shown],
        }
        for row in results.table.to_dict("records")
    ]


def _sort_value(value: Any) -> Any:
    """The value by which the browser sorts; empty if it is missing."""
    return "" if pd.isna(value) else value


class Shade(NamedTuple):
    """A colored entry of a matrix: its text, and its color from -1 to 1 (None: no color)."""

    text: str
    strength: float | None


class Matrix(NamedTuple):
    """Headings of the columns, and rows of (heading, entries).

    A matrix is an HTML table of colored entries, which eyes, keyboards and screen readers can all read.
    """

    columns: list[str]
    rows: list[tuple[str, list[Shade]]]


def better(results: Results) -> Matrix:
    """P(row beats column) in percent, after a column with the mean rank. The best rule is on top."""
    names, table = results.names, by_mean(results)
    order, ranks = list(table.index), table.mean(axis=1, skipna=False)
    found = []
    for rule in order:
        rank = Shade(ABSENT if pd.isna(ranks[rule]) else f"{ranks[rule]:.1f}", None)
        values = results.better.loc[rule, order].astype(float)
        found.append((names[rule], [rank, *(_shade(100 * p, 2 * p - 1, 0) for p in values)]))
    return Matrix(["mean rank", *(names[rule] for rule in order)], found)


def alignment(results: Results, task: str) -> Matrix:
    """Rules by blocks at the end of training, and a last row for fresh random feedback."""
    found = {rule: cosines for (name, rule), cosines in results.alignment.items() if name == task}
    blocks = list(dict.fromkeys(str(block) for cosines in found.values() for block in cosines.index))
    ends = pd.DataFrame({rule: cosines.iloc[:, -1].rename(str) for rule, cosines in found.items()}).reindex(blocks)
    nulls = [null.iloc[:, -1].rename(str) for (name, _), null in results.null_alignment.items() if name == task]
    rows = [(results.names[rule], [_shade(c, c, 2) for c in ends[rule]]) for rule in results.rules if rule in ends]
    if nulls:
        level = pd.concat(nulls, axis=1).mean(axis=1).reindex(blocks)
        rows.append(("random feedback", [_shade(c, c, 2) for c in level]))
    return Matrix(blocks, rows)


def _shade(value: float, strength: float, digits: int) -> Shade:
    return Shade("", None) if pd.isna(value) else Shade(f"{value:z.{digits}f}", round(float(strength), 3))


def style() -> Markup:
    """The style sheet of all pages."""
    return Markup(_asset("page.css"))


def script(name: str) -> Markup:
    """A script of the pages, to be named in their `policy`."""
    return Markup(_asset(name))


def policy(*scripts: str) -> Markup:
    """The Content-Security-Policy of a page: these scripts and our style sheet, and nothing from the network.

    Plotly adds an empty style element, fills it through the DOM, and sets style attributes. So do our templates.
    """
    run = " ".join(_hash(_asset(name)) for name in scripts) or "'none'"
    styles = f"style-src-elem {_hash(_asset('page.css'))} {_hash('')}; style-src-attr 'unsafe-inline'"
    return Markup(f"default-src 'none'; script-src {run}; {styles}; img-src data:; base-uri 'none'; form-action 'none'")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return files("grape_bench.report.page").joinpath(name).read_text(encoding="utf-8")


def _embedded(value: object) -> Markup:
    """JSON for a script element. No text from a user can close the element, and none is invisible."""
    encoded = json.dumps(_visible(value), separators=(",", ":"), allow_nan=False)
    return Markup(encoded.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _visible(value: Any) -> Any:
    """`value` with its texts as the template writes them, so that scripts can match them."""
    if isinstance(value, dict):
        return {_visible(key): _visible(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_visible(inner) for inner in value]
    return printable(value) if isinstance(value, str) else value

"""The report as one web page that needs nothing else: no network, no server, no second file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Protocol

from markupsafe import Markup

from grape_bench.report import columns, readme
from grape_bench.report.figures.alignment import maps
from grape_bench.report.page import matrix
from grape_bench.report.page.data import data
from grape_bench.report.page.rows import HEADINGS, rows
from grape_bench.report.provenance import facts
from grape_bench.report.templates import page_template
from grape_bench.score.results import Results


class Publication(Protocol):
    """What a leaderboard knows of a rule."""

    @property
    def rule(self) -> str:
        """Its name."""

    @property
    def version(self) -> str:
        """Its own version."""

    @property
    def paper(self) -> str:
        """Where it is described."""

    @property
    def badge(self) -> str:
        """How far its numbers were checked."""


def render(results: Results, publications: Sequence[Publication] = ()) -> str:
    """The HTML: tables as text, charts drawn by the plotly.js that is inside the page."""
    names = columns.labels(results.rules)
    aligned = [(task, names[rule], matrix.alignment(cosines)) for (task, rule), cosines in maps(results).items()]
    return page_template("page.html.j2").render(
        title=readme.title(results),
        results=results,
        names=names,
        headings=HEADINGS,
        rows=rows(results),
        interval=readme.interval_text,
        target=readme.target_text,
        number=columns.number,
        caption=columns.caption(results.table),
        notes=columns.footnotes(results.table),
        better=matrix.better(results),
        aligned=aligned,
        facts=facts(results.records),
        publications=publications,
        style=style(),
        script=Markup(_asset("page.js")),
        plotly=Markup(_asset("vendor/plotly-basic.min.js")),
        data=_embedded(data(results)),
    )


def style() -> Markup:
    """The style sheet of all pages."""
    return Markup(_asset("page.css"))


@cache
def _asset(name: str) -> str:
    return files("grape_bench.report.page").joinpath(name).read_text(encoding="utf-8")


def _embedded(value: object) -> Markup:
    """JSON inside a script element, which no text of a user's can close."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))

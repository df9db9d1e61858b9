"""Hostile names of rules, suites and blocks in every output format: they are shown, and they do nothing."""

from __future__ import annotations

import csv as csv_module
import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from grape_bench.cli.display import Live
from grape_bench.errors import printable
from grape_bench.report import csv, latex, markdown, page, readme, terminal
from grape_bench.report.comparison import render as compared
from grape_bench.report.console import PlainConsole
from grape_bench.report.figures import alignment, performance, ranks, tradeoff
from grape_bench.report.figures import results as ends
from grape_bench.report.run import render as one_run
from grape_bench.score.compare import compare_rules
from grape_bench.score.results import Results, results
from grape_bench.score.verdict import Verdict
from tests.hostile.names import NAMES, made
from tests.report.curves import curves
from tests.report.runs import diagnostics
from tests.score.records import make, with_parts

ALL = [*NAMES, *map(made, range(30))]
CODES = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")  # colors, and rich's own moves of the cursor


@cache
def scored() -> Results:
    """A table with every name as a rule, a hardware class and a block, and with a hostile suite and task."""
    task, suite = "<img src=x onerror=alert(1)>$\\x$", "[s](https://evil.example)"
    rules = ["bp", "frozen", "dfa", *ALL]
    records = [make(rule, 0, 90.0, task=task, suite=suite, version="<script>", hardware=rule) for rule in rules]
    measured = {r.id: diagnostics(0.5).replace("blocks.0", r.rule) for r in records if r.rule in NAMES}
    return results(records, curves(records), measured)


def printed(*renderables: object) -> str:
    """What a terminal with colors gets, without rich's own codes."""
    file = StringIO()
    PlainConsole(file=file, force_terminal=True, color_system="truecolor", width=200).print(*renderables)
    return CODES.sub("", file.getvalue())


def test_the_names_would_act() -> None:
    acting = [name for name in NAMES if printable(name) != name]
    assert len(acting) >= 6 and any("<script>" in name for name in NAMES) and len({*ALL}) == len(ALL)


def test_a_terminal_obeys_no_name() -> None:
    shown = scored()
    record = with_parts(next(r for r in shown.records if r.rule == NAMES[0]), status="crashed")
    pages = [
        terminal.render(shown.table),
        one_run(record, Verdict(NAMES[1], (NAMES[0], NAMES[6])), None),
        compared(compare_rules(shown.records, NAMES[:3], ["dfa"])),
    ]
    text = printed(*pages)
    assert text == printable(text) and "\\x1b]0;title" in text and "[link=https://evil.example]" in text


def test_the_live_display_obeys_no_name() -> None:
    file = StringIO()
    display = Live(PlainConsole(file=file, force_terminal=True, width=200))
    records = [make(name, 0, reason=name, status="crashed") for name in NAMES]
    display.began([], [record.job for record in records], 1)
    for record in records:
        display.started(record.job)
        display.progressed({})
        display.ended(record)
        display.warned(record.rule)
    display.closed()
    text = CODES.sub("", file.getvalue()).replace("\r", "")
    assert text == printable(text) and "\\x1b]0;title" in text


def test_markdown_has_no_link_image_or_html_of_a_name() -> None:
    shown = scored()
    for text in (readme.render(shown, {}), markdown.render(shown.table)):
        assert text == printable(text)
        tokens = [inner for token in MarkdownIt("commonmark").enable("table").parse(text) for inner in _flat(token)]
        live = Counter(
            token.type for token in tokens if token.type in ("link_open", "html_block", "html_inline", "image")
        )
        assert live["link_open"] == live["html_block"] == 0
        assert live["image"] == (1 if "results.svg" in text else 0), "the figure of the report"
        assert {t.content for t in tokens if t.type == "html_inline"} <= {"<span>", "</span>", "`<span>`"}
        assert not re.search(r"https?://|www\.|(?<!<span>)[@#]\w", text), "GitHub makes links of these"


def _flat(token: object) -> list[object]:
    children = getattr(token, "children", None) or []
    return [token, *(inner for child in children for inner in _flat(child))]


def test_a_spreadsheet_finds_no_formula() -> None:
    rows = list(csv_module.reader(StringIO(csv.text(scored().table))))
    assert len(rows) == 1 + len(scored().table)
    for cell in (cell for row in rows for cell in row):
        assert cell == printable(cell)
        assert not cell.lstrip().startswith(("=", "+", "-", "@")) or re.fullmatch(r"-?[\d.e+-]+", cell), cell


@pytest.mark.system
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_and_runs_no_command(tmp_path: Path) -> None:
    (tmp_path / "table.tex").write_text(latex.render(scored().table, readme.title(scored())))
    (tmp_path / "notes.tex").write_text(latex.notes(scored().table))
    document = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{table}\input{notes}\end{document}"
    (tmp_path / "document.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


def test_latex_has_no_command_of_a_name() -> None:
    text = latex.render(scored().table, readme.title(scored())) + latex.notes(scored().table)
    assert text == printable(text)
    assert r"\textbackslash{}input\{/etc/passwd\}" in text and r"\input{/etc" not in text and "^^41" not in text


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_has_no_tag_of_a_name() -> None:
    text = page.render(scored())
    tags = Tags()
    tags.feed(text)
    counts = Counter(tag for tag, _ in tags.found)
    assert counts["script"] == 3 and counts["a"] == 1 and not counts["img"] and not counts["iframe"]
    assert [a for _, attributes in tags.found for a in attributes if a.startswith("on")] == []
    (policy,) = [a["content"] for _, a in tags.found if a.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy).startswith("default-src 'none'; script-src 'sha256-") and "unsafe-eval" not in str(policy)
    without_scripts = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", text, flags=re.S)
    assert without_scripts == printable(without_scripts)


@pytest.mark.parametrize("module", [ends, tradeoff, performance, ranks, alignment])
def test_a_picture_takes_every_name_as_text(module: object, tmp_path: Path) -> None:
    level = {"bp": 97.0, "frozen": 80.0}  # without BP above the control there is no profile
    rules = ("bp", "frozen", "dfa", *NAMES[::3])
    some = [make(rule, seed, level.get(rule, 90.0) + seed) for rule in rules for seed in range(5)]
    measured = {r.id: diagnostics(0.5).replace("blocks.0", "$\\frac{1}$\x1b") for r in some[10:20]}
    module.draw(results(some, curves(some), measured), tmp_path / "picture.svg")  # type: ignore[attr-defined]
    assert "<a " not in (tmp_path / "picture.svg").read_text()


def test_one_cell_is_escaped_once() -> None:
    frame = pd.DataFrame({"rule": ["=1+1", "\x1b[2J", "–", "-0.5"], "x": [-1.5, 2.0, float("nan"), 1.0]})
    assert csv.text(frame) == "rule,x\n'=1+1,-1.5\n\\x1b[2J,2\n–,\n'-0.5,1\n"
    assert markdown.escape("[a](http://b) <i> www.c @d #1") == (
        "\\[a\\](http\\://b) \\<i\\> www\\.c <span>@</span>d <span>#</span>1"
    )

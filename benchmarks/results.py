"""Render all of results/ from the raw records: each suite's table and figures, the log, the claims, and the pages.

python -m benchmarks.results            # everything, also the README's first screen
python -m benchmarks.results --page     # results/README.md only, from results/README.md.jinja
"""

from __future__ import annotations

import argparse
import math
import re
import runpy
from collections import Counter
from functools import cache
from pathlib import Path
from textwrap import fill

from jinja2 import Environment, StrictUndefined

from grape_bench.cli.main import main as grape_bench
from grape_bench.record.folder import read_folder
from grape_bench.record.manifest import MANIFEST
from grape_bench.report.claims import WORDS, judged, read_claims
from grape_bench.score.cell import cells
from grape_bench.score.gain import gains
from grape_bench.score.inference import mean
from grape_bench.score.results import results
from grape_bench.score.scaling import trends
from grape_bench.score.table import score
from grape_bench.track.runs import read_runs

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
TEMPLATE, PAGE = RESULTS / "README.md.jinja", RESULTS / "README.md"
WIDTH = 120
ONE_FILE = ("index.html", "*.pdf")
"""Files of a report that do not belong in a repository: a page with all curves, and second copies of the figures."""


class Suite:
    """The recorded numbers of one suite, for the sentences of the page."""

    def __init__(self, name: str) -> None:
        self._runs = RESULTS / name / "runs"
        found = read_folder(self._runs).found()
        self._grid, self._untuned = cells(found.records), found.untuned
        self._rows = {(row["task"], row["rule"]): row for row in score(found.records).to_dict("records")}

    def value(self, task: str, rule: str) -> float:
        """The mean test value: percent, or a perplexity."""
        return self.column(task, rule, "value")

    def column(self, task: str, rule: str, name: str) -> float:
        """A number of table.csv."""
        return float(self._rows[task, rule][name])

    def lead(self, task: str, rule: str, than: str) -> float:
        """The mean test value of `rule` minus that of `than`."""
        return self.value(task, rule) - self.value(task, than)

    def cosine(self, task: str, rule: str) -> float:
        """The cosine between signal and true gradient at the end of training, a mean over blocks and seeds."""
        found = [record.diagnostics for record in self._grid[task, rule].results]
        return mean(one.signal_cos for one in found if one and one.signal_cos is not None)

    def growth(self, task: str, rule: str) -> float:
        """The largest ratio of activations from a block to the next, as a mean over seeds of its logarithm."""
        found = [record.diagnostics for record in self._grid[task, rule].results]
        return math.exp(mean(math.log(one.growth) for one in found if one and one.growth))

    def slope(self, family: str, rule: str) -> float:
        """The change of the gap to BP, in points per doubling of the size."""
        runs = read_runs(self._runs)
        trained = trends(results(runs.records, runs.curves, runs.diagnostics))
        found = [each for each in trained if each.series.family == family and each.quantity == "gap"]
        return next(each.slope.mean for each in found if each.rule == rule)

    def gain(self, task: str, rule: str) -> float:
        """The gain from tuning."""
        found = gains(self._grid, self._untuned)
        return next(one.difference.mean for one in found if (one.tuned.task, one.tuned.rule) == (task, rule))


def page() -> str:
    """The text of results/README.md. Every measured number in it comes from the records."""
    words = Counter(one.word for one in judged(read_claims(ROOT / "claims"), RESULTS))
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
    environment.filters["f"] = number
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        suite=cache(Suite), span=span, claims=words.total(), judged=[words[word] for word in WORDS]
    )
    return f"<!-- Rendered from README.md.jinja by `python -m benchmarks.results`. -->\n\n{wrapped(text.strip())}\n"


def wrapped(text: str) -> str:
    """Wrap the paragraphs and list items of `text`. Numbers are shorter than the expressions in their places."""
    blocks = re.split(r"\n(?=- )|\n(\n+)", text)
    return "\n".join(_filled(block) if block.strip() else "" for block in blocks if block is not None)


def _filled(block: str) -> str:
    indent = "  " if block.startswith("- ") else ""
    return fill(
        " ".join(block.split()), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def number(value: float, digits: int = 1) -> str:
    """The size of a number; the sentence says its direction."""
    return f"{abs(value):,.{digits}f}"


def span(values: list[float], digits: int = 1) -> str:
    """The smallest and the largest of some numbers: "0.6 to 0.7"."""
    low, high = number(min(values, key=abs), digits), number(max(values, key=abs), digits)
    return low if low == high else f"{low} to {high}"


def render(suite: Path) -> None:
    """Write the report of results/SUITE/runs into results/SUITE."""
    grape_bench(["report", str(suite / "runs"), "-o", str(suite)], standalone_mode=False)
    for pattern in ONE_FILE:
        for path in suite.glob(pattern):
            path.unlink()


def main(arguments: list[str] | None = None) -> None:
    """Render what `arguments` ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="results/README.md only")
    only_page = parser.parse_args(arguments).page
    if not only_page:
        for manifest in sorted(RESULTS.glob(f"*/runs/{MANIFEST}")):
            render(manifest.parents[1])
        for module in ("benchmarks.log", "benchmarks.front_page"):
            runpy.run_module(module, run_name="__main__")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Render all of results/ from the raw records: the sentences with numbers, each suite's report, and the log.

python -m benchmarks.results            # everything, also the README's first screen
python -m benchmarks.results --text     # only the pages that are written in a .md.jinja file
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
from collections import Counter
from functools import cache, cached_property
from pathlib import Path
from textwrap import fill

from jinja2 import Environment, StrictUndefined

from benchmarks import front_page, log
from grape_bench.record.folder import read_folder
from grape_bench.record.manifest import MANIFEST
from grape_bench.report.claims import WORDS, Judged, judged, read_claims
from grape_bench.score.cell import Cell, cells, differences
from grape_bench.score.gain import gains
from grape_bench.score.inference import Interval, interval, mean
from grape_bench.score.results import results
from grape_bench.score.scaling import Trend, trends
from grape_bench.score.table import score
from grape_bench.track.runs import read_runs

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
TEMPLATES = sorted(RESULTS.glob("**/*.md.jinja"))
WIDTH, NO_BREAK = 120, "\N{NO-BREAK SPACE}"
ONE_FILE = ("index.html", "*.pdf")
"""Files of a report that do not belong in a repository: a page with all curves, and second copies of the figures."""


class Suite:
    """The recorded numbers of one suite, for the sentences of the page.

    `records` holds the records of its table, and `cell` those of one rule on one task.
    """

    def __init__(self, name: str) -> None:
        self._runs = RESULTS / name / "runs"
        found = read_folder(self._runs).found()
        self.records, self._untuned = found.records, found.untuned
        self._grid = cells(self.records)
        self._rows = {(row["task"], row["rule"]): row for row in score(self.records).to_dict("records")}

    def value(self, task: str, rule: str) -> float:
        """The mean test value: percent, or a perplexity."""
        return self.column(task, rule, "value")

    def column(self, task: str, rule: str, name: str) -> float:
        """A number of table.csv."""
        return float(self._rows[task, rule][name])

    def columns(self, tasks: list[str], rule: str, name: str) -> list[float]:
        """A number of table.csv on several tasks."""
        return [self.column(task, rule, name) for task in tasks]

    def rules(self, task: str, name: str, *words: str) -> list[str]:
        """The rules that have one of `words` in a column of table.csv, such as "tied" in `vs_bp`."""
        return [rule for (one, rule), row in self._rows.items() if one == task and row[name] in words]

    def cell(self, task: str, rule: str) -> Cell:
        """The records of one rule on one task, with its test value by seed."""
        return self._grid[task, rule]

    def above(self, task: str, rule: str, than: str) -> float:
        """By how much `rule` is better than `than` in the mean test value. Raises ValueError unless it is resolved."""
        self._check_lead(task, rule, than)
        return abs(self.value(task, rule) - self.value(task, than))

    def lead(self, task: str, rule: str, than: str) -> Interval:
        """By how much `rule` is better than `than` in score, paired by seed. Raises ValueError unless resolved."""
        self._check_lead(task, rule, than)
        return self.difference(task, rule, than)

    def difference(self, task: str, rule: str, than: str) -> Interval:
        """The mean difference in score between two rules, paired by seed, with its 95 % interval."""
        return interval(differences(self.cell(task, rule), self.cell(task, than)))

    def paired(self, task: str, rule: str, than: str) -> str:
        """`difference` with its sign: "+4.7 ± 2.7"."""
        found = self.difference(task, rule, than)
        return f"{found.mean:+.1f} ± {found.half_width:.1f}"

    def share(self, task: str, rule: str, zero: str) -> float:
        """The share of the distance from the rule `zero` to BP that `rule` covers, in the mean test value."""
        low, high = self.value(task, zero), self.value(task, "bp")
        return (self.value(task, rule) - low) / (high - low)

    def diagnosed(self, task: str, rule: str, name: str) -> list[float]:
        """A diagnostic of each seed that measured it."""
        found = [getattr(record.diagnostics, name, None) for record in self.cell(task, rule).results]
        return [one for one in found if one is not None]

    def cosine(self, task: str, rule: str) -> float:
        """The cosine between signal and true gradient at the end of training, a mean over blocks and seeds."""
        return mean(self.diagnosed(task, rule, "signal_cos"))

    def growth(self, task: str, rule: str) -> float:
        """The largest ratio of activations from a block to the next, as a mean over seeds of its logarithm."""
        return math.exp(mean(map(math.log, self.diagnosed(task, rule, "growth"))))

    def slope(self, family: str, rule: str) -> float:
        """The change of the gap to BP, in points per doubling of the size."""
        return self.trend(family, rule, "gap").mean

    def trend(self, family: str, rule: str, quantity: str) -> Interval:
        """The change per doubling of the size of one of `scaling.QUANTITIES`."""
        found = (one for one in self._trends if (one.series.family, one.rule, one.quantity) == (family, rule, quantity))
        return next(found).slope

    @cached_property
    def _trends(self) -> list[Trend]:
        runs = read_runs(self._runs)
        return trends(results(runs.records, runs.curves, runs.diagnostics))

    def gain(self, task: str, rule: str) -> float:
        """The gain from tuning."""
        found = gains(self._grid, self._untuned)
        return next(one.difference.mean for one in found if (one.tuned.task, one.tuned.rule) == (task, rule))

    @property
    def core_hours(self) -> float:
        """The core-hours of all jobs of the table."""
        return log.core_hours(self.records)

    def _check_lead(self, task: str, rule: str, than: str) -> None:
        found = self.difference(task, rule, than)
        if not found.mean > found.half_width:
            raise ValueError(f"{self._runs}: on {task}, {rule} is not resolved above {than}: {plus_minus(found)}")


def page(template: Path) -> str:
    """The text of the page that `template` describes. Every measured number in it comes from the records."""
    claims = _claims()
    words = Counter(one.word for one in claims)
    environment = Environment(undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"f": number, "pm": plus_minus}
    text = environment.from_string(template.read_text(encoding="utf-8")).render(
        suite=suite,
        span=span,
        claims=len(claims),
        ours=sum(one.claim.source.startswith("our") for one in claims),
        judged=[words[word] for word in WORDS],
        confirmed=[sum(one.confirmed for one in claims if one.word == word) for word in WORDS],
    )
    return f"<!-- Rendered from {template.name} by `python -m benchmarks.results`. -->\n\n{wrapped(text.strip())}\n"


@cache
def _claims() -> list[Judged]:
    """All claims with their words. Reading every suite takes seconds."""
    return judged(read_claims(ROOT / "claims"), RESULTS)


@cache
def suite(name: str) -> Suite:
    """The recorded suite `name`."""
    return Suite(name)


def wrapped(text: str) -> str:
    """Wrap the paragraphs and list items of `text`, because a number is shorter than the expression in its place.

    Code, tables, headings and pictures stay as they are.
    """
    parts = re.split(r"(```.*?```)", text, flags=re.DOTALL)
    return "".join(part if part.startswith("```") else _paragraphs(part) for part in parts)


def _paragraphs(text: str) -> str:
    blocks = re.split(r"(\n\n+|\n(?=- ))", text)
    return "".join(block if re.match(r"\s*$|[#|!]", block) else _filled(block) for block in blocks)


def _filled(block: str) -> str:
    words = " ".join(block.split()).replace(" %", f"{NO_BREAK}%")
    indent = "  " if block.startswith("- ") else ""
    filled = fill(words, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return filled.replace(NO_BREAK, " ")


def number(value: float, digits: int = 1) -> str:
    """A number with a fixed count of digits: "18,742", "-0.1"."""
    return f"{value:,.{digits}f}"


def span(values: list[float], digits: int = 1) -> str:
    """The smallest and the largest of some numbers: "0.6 to 0.7"."""
    low, high = number(min(values), digits), number(max(values), digits)
    return low if low == high else f"{low} to {high}"


def plus_minus(found: Interval, digits: int = 1) -> str:
    """A mean with its 95 % interval: "4.7 ± 2.7"."""
    return f"{found.mean:.{digits}f} ± {found.half_width:.{digits}f}"


def report(folder: Path) -> None:
    """Write the report of results/SUITE/runs into the `folder` results/SUITE."""
    subprocess.run([sys.executable, "-m", "grape_bench", "report", folder / "runs", "-o", folder], check=True)
    for pattern in ONE_FILE:
        for path in folder.glob(pattern):
            path.unlink()


def main(arguments: list[str] | None = None) -> None:
    """Render what `arguments` ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", action="store_true", help="only the pages that are written in a .md.jinja file")
    only_text = parser.parse_args(arguments).text
    for template in TEMPLATES:  # first, because a report contains its suite's notes.md
        template.with_suffix("").write_text(page(template), encoding="utf-8")
    if not only_text:
        for manifest in sorted(RESULTS.glob(f"*/runs/{MANIFEST}")):
            report(manifest.parents[1])
        log.main()
        front_page.main()


if __name__ == "__main__":
    main()

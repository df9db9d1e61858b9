"""The folder of a report: the tables, figures and pages of one suite's results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grape_bench.errors import UserError
from grape_bench.record.regular_file import Largest, read_text
from grape_bench.record.write import write_text
from grape_bench.report import csv, equal_cost, latex, readme
from grape_bench.report.figures.look import WIDTH
from grape_bench.score.results import Results
from grape_bench.score.scaling import series

NOTES = "notes.md"
EQUAL, PAIRS = "equal-cost", "equal-cost-pairs"


def write(results: Results, output: Path, width: float = WIDTH) -> None:
    """Write README.md, table.csv, table.tex, table-notes.tex, the figures (SVG and PDF) and index.html to `output`.

    The figures are `width` inches wide. A comparison at equal cost adds equal-cost.csv, equal-cost-pairs.csv and a
    figure.
    If `output` has a notes.md, its text goes to the top of README.md. Raises UserError if `output` cannot be written.
    """
    from grape_bench.report import page

    csv.write_scores(results.table, output)
    _write_equal_cost(results, output)
    write_text(output / "table.tex", latex.render(results.table, readme.title(results)))
    write_text(output / "table-notes.tex", latex.notes(results.table))
    shown = draw(results, output, width)
    write_text(output / "README.md", readme.render(results, shown, _notes(output / NOTES)))
    write_text(output / "index.html", page.render(results))


def _write_equal_cost(results: Results, output: Path) -> None:
    """Write the rules and the pairs at equal cost, or delete those of an earlier report."""
    tables = {EQUAL: results.equal.table, PAIRS: equal_cost.pair_rows(results.equal)} if results.equal else {}
    for name in (EQUAL, PAIRS):
        path = output / f"{name}.csv"
        if name in tables:
            csv.write(tables[name], path)
        else:
            path.unlink(missing_ok=True)


def _part(shown: Sequence[str], every: Sequence[str], kind: str = "tasks") -> str:
    """A note on what a figure leaves out; empty if it shows everything."""
    return f" (the first {len(shown)} of {len(every)} {kind})" if len(every) > len(shown) > 0 else ""


def _notes(path: Path) -> str:
    try:
        return read_text(path, Largest.DOCUMENT)
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from error


def draw(results: Results, output: Path, width: float = WIDTH) -> dict[str, str]:
    """Draw every figure that the results allow, and delete the others. Returns SVG file -> what it shows."""
    every = _figures(results)
    drawn = {name: (module, shows) for name, (module, shows, possible) in every.items() if possible}
    for name, (module, _) in drawn.items():
        for ending in ("svg", "pdf"):
            module.draw(results, output / f"{name}.{ending}", width)
    for name in every.keys() - drawn.keys():  # left over from an earlier report
        for ending in ("svg", "pdf"):
            (output / f"{name}.{ending}").unlink(missing_ok=True)
    return {f"{name}.svg": shows for name, (_, shows) in drawn.items()}


def _figures(results: Results) -> dict[str, tuple[Any, str, bool]]:
    """File name -> (module that draws it, what it shows, whether the results allow it)."""
    # Imported here so that other commands do not wait for matplotlib.
    from grape_bench.report.figures import alignment, performance, ranks, scaling, tradeoff, tuning
    from grape_bench.report.figures import equal_cost as equal
    from grape_bench.report.figures import results as ends

    cost_part = _part(tradeoff.shown(results), results.tasks)
    drawn_tasks, drawn_rules = alignment.shown(results)
    tasks, rules = alignment.measured(results)
    parts = _part(drawn_tasks, tasks) + _part(drawn_rules, rules, "rules")
    return {
        "results": (
            ends,
            f"Test results of every rule and seed, and learning curves{_part(ends.shown(results), results.tasks)}",
            True,
        ),
        "tradeoff": (tradeoff, f"{tradeoff.ABOUT}{cost_part}", bool(tradeoff.available(results))),
        EQUAL: (
            equal,
            f"Validation score over cost, with 95 % intervals{_part(equal.shown(results), equal.tasks(results))}",
            results.equal is not None,
        ),
        "profile": (performance, "Performance profile, and averages over tasks", not results.profile.empty),
        "ranks": (
            ranks,
            "Rank, and the share of paired runs in which one rule beats another"
            f"{_part(ranks.shown(results), results.ranked, 'rules')}",
            len(results.ranked) > 1,
        ),
        "alignment": (
            alignment,
            f"Alignment of each block's signal over training; the band is fresh random feedback{parts}",
            bool(results.alignment),
        ),
        "scaling": (
            scaling,
            "Gap to BP, alignment and anchor effect over the size of the network, with 95 % intervals",
            bool(series(results.tasks)),
        ),
        "tuning": (
            tuning,
            "Validation score of each tuning trial against its learning rate; the chosen trial has the larger marker"
            f"{_part(tuning.shown(results), list(tuning.searches(results)))}",
            bool(tuning.searches(results)),
        ),
    }

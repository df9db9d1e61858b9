"""How often each word of a table is wrong, and how often it is found: `python -m benchmarks.verdicts [--tables N]`.

Simulates tables of normal runs and judges them with the functions of grape_bench/score. BP is truly 8 points above the
control, DFA lies between them, and a paired difference has a standard deviation (spread) of 2, 4 or 6 points. Prints
the Markdown tables of docs/protocol.md. `--docs FILE` writes them there.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grape_bench.report.markdown import pipe_table
from grape_bench.score.best import Paired, best
from grape_bench.score.cell import Cell, differences
from grape_bench.score.inference import LEVEL, mean
from grape_bench.score.lead import lead, resolved
from grape_bench.score.references import References
from grape_bench.score.standing import BETTER, TIED, WORSE, margin, standings

SEEDS, SPREADS = (3, 5, 10), (2.0, 4.0, 6.0)
BP, CONTROL, DFA = 80.0, 72.0, 75.0
GAP = BP - CONTROL
SHARED = 3.0  # effect of a seed on every rule, in points; a paired comparison does not see it
RULES = 7  # in the table whose best row is compared
WILD = 3.0  # how many times the references' spread a rule may have
BEGIN, END = "<!-- python -m benchmarks.verdicts: begin -->", "<!-- end -->"


@dataclass(frozen=True)
class Runs(Cell):
    """A cell with simulated scores instead of records."""

    simulated: Mapping[int, float]

    @property
    def scores(self) -> dict[int, float]:
        """Seed -> score."""
        return dict(self.simulated)

    def sampling_error(self, seed: int) -> float:
        """No error: the test split is large."""
        return 0.0


@dataclass(frozen=True)
class Setting:
    """The number of seeds, and the standard deviation of a paired difference in points."""

    n: int
    spread: float


def table(
    setting: Setting, means: Mapping[str, float], draw: np.random.Generator, wild: float = 1.0
) -> dict[str, Runs]:
    """One table of runs. The spread of the rule `x` is `wild` times that of the others."""
    shared = draw.normal(0, SHARED, setting.n)
    found = {}
    for rule, center in means.items():
        own = setting.spread / math.sqrt(2) * (wild if rule == "x" else 1)
        found[rule] = Runs("task", rule, (), dict(enumerate(center + shared + draw.normal(0, own, setting.n))))
    return found


def judged(setting: Setting, x: float, draw: np.random.Generator, wild: float = 1.0) -> dict[str, bool]:
    """The statements of a table about a rule whose true score is `x`, each true or false."""
    cells = table(setting, {"bp": BP, "dfa": DFA, "frozen": CONTROL, "x": x}, draw, wild)
    references = References(cells["bp"], cells["frozen"], dfa=cells["dfa"])
    found = {name: standing.word for name, standing in standings(cells["x"], references).items()}
    above = lead(cells["x"], cells["frozen"])
    limit = max(0.0, margin(cells["x"], cells["frozen"], references))
    return {
        "better than the control": found["control"] == BETTER,
        "differs from BP": found["bp"] in (BETTER, WORSE),
        "tied with BP": found["bp"] == TIED,
        "trained": above.above,
        "not above": above.below(limit),
        "credit": resolved(cells["x"].scores, cells["frozen"].scores, 1),
        "differs from BP, pooled": _pooled(cells["x"], references),
    }


def _pooled(cell: Cell, references: References) -> bool:
    """The result of a t-test with pooled variance for the difference from BP. Only for the docs: it is not used."""
    from scipy.special import stdtr

    assert references.bp
    variance, freedom = references.pooled
    center = mean(differences(cell, references.bp))
    return bool(2 * stdtr(freedom, -abs(center) / math.sqrt(variance / len(cell.scores))) < LEVEL)


def compared(setting: Setting, lead_of_best: float, draw: np.random.Generator) -> bool:
    """Is some rule resolved from the best one, among seven of which one is truly ahead by `lead_of_best`?"""
    cells = table(setting, {f"rule{i}": lead_of_best * (i == 0) for i in range(RULES)}, draw)
    means = {rule: mean(cell.scores.values()) for rule, cell in cells.items()}
    found = best(means, lambda one, two: Paired.of(differences(cells[one], cells[two])))
    return bool(found and found.resolved)


def share(tables: int, said: Callable[[np.random.Generator], Mapping[str, bool]]) -> dict[str, float]:
    """The share of simulated tables that make each statement."""
    draw = np.random.default_rng(0)
    every = [said(draw) for _ in range(tables)]
    return {name: float(np.mean([one[name] for one in every])) for name in every[0]}


def errors(setting: Setting, tables: int) -> dict[str, float]:
    """How often each statement is made where it is false."""
    equal = share(tables, lambda draw: judged(setting, BP, draw))
    edge = share(tables, lambda draw: judged(setting, BP - 0.1 * GAP, draw))
    untrained = share(tables, lambda draw: judged(setting, CONTROL, draw))
    wild = share(tables, lambda draw: judged(setting, BP, draw, WILD))
    null = share(tables, lambda draw: {"best": compared(setting, 0.0, draw)})
    return {
        "better or worse, equal rules": equal["differs from BP"],
        f"the same, {WILD:g} x the spread": wild["differs from BP"],
        "the same, pooled variance": wild["differs from BP, pooled"],
        "tied, a margin apart": edge["tied with BP"],
        "trained, untrained rule": untrained["trained"],
        "not above, 8 points above": equal["not above"],
        "credit, BP equal to frozen": untrained["credit"],
        "resolved from the best, equal rules": null["best"],
    }


def powers(setting: Setting, tables: int) -> dict[str, float]:
    """How often each statement is made where it is true."""
    equal = share(tables, lambda draw: judged(setting, BP, draw))
    untrained = share(tables, lambda draw: judged(setting, CONTROL, draw))
    ahead = share(tables, lambda draw: {"best": compared(setting, GAP, draw)})
    return {
        "better, 8 points": equal["better than the control"],
        "tied, equal rules": equal["tied with BP"],
        "trained, 8 points": equal["trained"],
        "not above, untrained rule": untrained["not above"],
        "credit, 8 points": equal["credit"],
        "resolved from the best, 8 points": ahead["best"],
    }


def markdown(measure: Callable[[Setting, int], dict[str, float]], tables: int) -> str:
    """A table with a row per statement and a column per number of seeds and spread, in percent."""
    settings = [Setting(n, spread) for n in SEEDS for spread in SPREADS]
    columns = [measure(setting, tables) for setting in settings]
    rows = [[name, *(f"{100 * column[name]:.1f}" for column in columns)] for name in columns[0]]
    headings = ["% of tables", *(f"n = {one.n}, spread {one.spread:g}" for one in settings)]
    return pipe_table(headings, rows, [True] + [False] * len(settings))


def section(tables: int) -> str:
    """Both tables."""
    return (
        f"False statements, of {tables:,} tables each:\n\n{markdown(errors, tables)}\n\n"
        f"True statements:\n\n{markdown(powers, tables)}"
    )


def main() -> None:
    """Print the tables, or write them into a page between the two marks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=4000)
    parser.add_argument("--docs", type=Path)
    given = parser.parse_args()
    text = section(given.tables)
    if given.docs is None:
        print(text)
        return
    before, _, rest = given.docs.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    given.docs.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

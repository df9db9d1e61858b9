"""Open rows: a rule with settings that anyone sent, found with any number of trials. They are compared, not ranked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from grape_bench.record.rule_name import RuleName
from grape_bench.score.cell import Cell, Grid

OPEN_MARK = "§"


def without_open(grid: Grid) -> dict[tuple[str, str], Cell]:
    """The cells of the other rules, which alone may be ranked."""
    return {key: cell for key, cell in grid.items() if not cell.is_open}


def marked(labels: Mapping[str, str]) -> dict[str, str]:
    """The label of each rule, with a mark if its settings are open."""
    return {rule: f"{label}{OPEN_MARK}" if RuleName.parse(rule).is_open else label for rule, label in labels.items()}


def stated(cells: Iterable[Cell]) -> Iterator[str]:
    """The sentences of a caption: who sent the settings, and what an open row does not get."""
    found = [cell for cell in cells if cell.is_open]
    rules: dict[str, dict[str, None]] = {}
    for cell in found:
        rules.setdefault(cell.open_by, {})[RuleName.parse(cell.rule).closed.label] = None
    if found:
        senders = ", ".join(f"{by} ({', '.join(of)})" for by, of in rules.items())
        yield (
            f"{OPEN_MARK} open settings by {senders}: chosen with any number of trials, see"
            f" baselines/{found[0].records[0].suite}/open.toml. An open row is no reference and is not ranked."
        )

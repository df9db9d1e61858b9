"""The comparison at equal cost as text tables, for the terminal, Markdown and the web page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grape_bench.report import markdown
from grape_bench.score.cost_axis import AXES
from grape_bench.score.equal_cost import BUDGETS, EqualCost
from grape_bench.score.flips import RESOLVED, Pair
from grape_bench.score.inference import LEVEL
from grape_bench.score.labels import labels
from grape_bench.score.metric import METRICS, Metric
from grape_bench.score.quantity import ABSENT, DRAFT_MARK, Values, number
from grape_bench.score.row import DRAFT_BELOW
from grape_bench.score.standing import BETTER, TOO_FEW, WORSE

ENDED = "*"
MOST_FLIPS = 15
"""The most pairs that a table lists. A suite of fifty rules has hundreds, which are all in the file."""
NAME = len("grape+anchor")  # characters of a rule's name that a terminal keeps on one line
STYLES = {BETTER: "green", WORSE: "red", TOO_FEW: "dim", "yes": "bold", "no": "dim"}
FLIP = ("A", "B", "A - B, equal samples", "A - B, equal cost", "at", "B leads", "resolved")
COMPARED = {"bp": "BP", "dfa": "DFA"}


class Cells(NamedTuple):
    """A table of text with a heading above it. The first `left` columns and those in `words` are left-aligned."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    words: Sequence[int] = ()

    def is_left(self, column: int) -> bool:
        """Whether a column is aligned to the left."""
        return column < self.left or column in self.words


def terminal(equal: EqualCost) -> RenderableType:
    """The scores, the comparison at the whole budget and the flips of each task, then the caption and notes."""
    parts: list[RenderableType] = []
    for task in equal.tasks:
        parts.append(Text(task, style="bold"))
        for cells in (scores(equal, task), standings(equal, task, BUDGETS[-1]), *flips(equal, task)):
            parts += [Text(cells.heading, style="dim"), *([_table(cells)] if cells.rows else []), ""]
    parts.append(Text(" ".join(caption(equal)), style="dim"))
    return Group(*parts, *(Text(f"! {note}", style="yellow") for note in equal.notes))


def render(equal: EqualCost) -> str:
    """The same as Markdown, with the comparison at every budget."""
    blocks = []
    for task in equal.tasks:
        blocks.append(f"### {markdown.escape(task)}, at equal {equal.axis.heading}")
        for cells in every(equal, task):
            rows = [[markdown.escape(text) for text in row] for row in cells.rows]
            left = [cells.is_left(column) for column in range(len(cells.columns))]
            blocks.append(markdown.escape(cells.heading))
            blocks += [markdown.pipe_table(cells.columns, rows, left)] if rows else []
    blocks.append(markdown.escape(" ".join(caption(equal))))
    if equal.notes:
        blocks.append("\n".join(f"- {markdown.escape(note)}" for note in equal.notes))
    return "\n\n".join(blocks)


def every(equal: EqualCost, task: str) -> list[Cells]:
    """All tables of one task."""
    return [scores(equal, task), *(standings(equal, task, budget) for budget in BUDGETS), *flips(equal, task)]


def on_page(equal: EqualCost) -> tuple[Cells, Cells]:
    """Two tables over all tasks: the rules, with the comparison at the whole budget, and the flips."""
    rules, pairs = [], []
    heads: dict[str, Cells] = {}
    for task in equal.tasks:
        heads = {"scores": scores(equal, task), "standings": standings(equal, task, BUDGETS[-1])}
        joined = zip(heads["scores"].rows, heads["standings"].rows, strict=True)
        rules += [[row[0], task, *row[1:], *other[1:]] for row, other in joined]
        pairs += [[task, *row] for found in flips(equal, task) for row in found.rows]
    own, other = heads["scores"].columns, heads["standings"].columns
    return (
        Cells("", [own[0], "task", *own[1:], *other[1:]], rules, left=2, words=(9, 11)),
        Cells("", ["task", *FLIP], pairs, left=3, words=(6, 7)),
    )


def pair_rows(equal: EqualCost) -> pd.DataFrame:
    """Every pair of rules, for equal-cost-pairs.csv."""
    return pd.DataFrame(
        {
            "task": pair.task,
            "first": pair.first,
            "second": pair.second,
            "n": pair.samples.n,
            "minus_at_samples": pair.samples.mean,
            "minus_at_samples_ci": pair.samples.half_width,
            "budget": pair.budget,
            "minus_at_cost": pair.cost.mean,
            "minus_at_cost_ci": pair.cost.half_width,
            "changes": " ".join(f"{cost:.3g}" for cost in pair.changes),
            "flips": pair.flips,
            "p": pair.p,
            "flip_is": pair.word,
        }
        for pair in equal.pairs
    )


def scores(equal: EqualCost, task: str) -> Cells:
    """The score of each rule at each budget."""
    names = _names(equal)
    rows: dict[str, list[str]] = {}
    for row in _rows(equal, task):
        seeds = len(equal.paths[task][row["rule"]].runs)
        start = [names[row["rule"]], f"{seeds}{DRAFT_MARK if seeds < DRAFT_BELOW else ''}", number(row["whole_cost"])]
        rows.setdefault(row["rule"], start).append(_value(row))
    heading = f"validation {_metric(equal, task).label} at shares of BP's {equal.axis.heading}"
    return Cells(heading, ["rule", "seeds", "run ÷ BP", *(f"at {budget:g}" for budget in BUDGETS)], list(rows.values()))


def standings(equal: EqualCost, task: str, budget: float) -> Cells:
    """Each rule at one budget: the share of its own training, and the comparisons with BP and DFA."""
    names, form = _names(equal), _signed(_metric(equal, task))
    rows = []
    for row in _rows(equal, task):
        if row["budget"] == budget:
            compared = [
                text
                for name in COMPARED
                for text in (
                    _interval(row[f"minus_{name}"], row[f"minus_{name}_ci"], form),
                    row[f"vs_{name}"] or ABSENT,
                )
            ]
            rows.append([names[row["rule"]], number(row["share"]), *compared])
    columns = ["rule", "trained", *(text for name in COMPARED.values() for text in (f"- {name}", f"vs {name}"))]
    return Cells(f"at {budget:g} of BP's whole training", columns, rows, words=(3, 5))


def flips(equal: EqualCost, task: str) -> list[Cells]:
    """The pairs of rules whose order flips, in one table. Empty at equal samples."""
    if equal.axis is AXES["samples"]:
        return []
    of_task = [pair for pair in equal.pairs if pair.task == task]
    found = sorted((pair for pair in of_task if pair.flips), key=lambda pair: -pair.clarity)
    resolved = sum(pair.word == RESOLVED for pair in found)
    counts = f"{len(found)} of {sum(pair.cost.n > 0 for pair in of_task)} pairs flip, {resolved} resolved"
    if schedules := [name for name, tasks in equal.schedules.items() if found and task in tasks]:
        counts += f", in the middle of a {'/'.join(schedules)} schedule (see below)"
    if len(found) > MOST_FLIPS:
        counts += f"; the {MOST_FLIPS} clearest:"
    return [Cells(counts, FLIP, [_flip(equal, pair) for pair in found[:MOST_FLIPS]], left=2, words=(5, 6))]


def caption(equal: EqualCost) -> Iterator[str]:
    """The sentences below the tables."""
    axis = equal.axis
    yield (
        f"Validation scores: learning curves hold no test scores. Cost: {axis.meaning}. 1 is BP's whole training."
        " run ÷ BP: the rule's whole training. trained: the share of it that the budget pays for. Between two"
        f" evaluations a score lies on a straight line. {ENDED}: the run ended before the budget. {ABSENT}: before the"
        " first evaluation."
    )
    if equal.schedules:
        which = "; ".join(f"{name}: {', '.join(tasks)}" for name, tasks in equal.schedules.items())
        yield (
            f"The learning rate follows a schedule over the whole training ({which}). A rule in the middle of it might"
            " do better with a schedule of that length, so a dearer rule may look worse than it is."
        )
    yield (
        "The words are those of the table of test results, for the scores at this budget. ±: 95 % Student-t interval"
        " over seeds; a difference is paired by seed."
    )
    if axis is not AXES["samples"]:
        yield (
            "A flip: A leads at the end of both runs, and B leads at equal cost, where the cheaper run ends. It is"
            f" {RESOLVED} if the paired t-test finds both differences (Holm over all pairs of the task,"
            f" {100 * LEVEL:g} %)."
        )
    for metric in {name: METRICS[name] for name in equal.table["metric"]}.values():
        if metric.scale:
            yield f"For the {metric.heading}, differences are in {metric.scale}: above 0, the rule is better."


def _table(cells: Cells) -> RenderableType:
    # The box leaves one space between columns. Seven columns in 80 characters have room for no more.
    between = 1 if len(cells.columns) < len(FLIP) else 0
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, between, 0, 0))
    for column, heading in enumerate(cells.columns):
        left = cells.is_left(column)
        # A name may wrap anywhere, and our own words only between words. A number never wraps.
        parts = [*heading.split(), *(part for row in cells.rows for part in _unbroken(row[column]))]
        least = max(map(len, parts)) if left else 0
        shown.add_column(
            heading.replace(", ", "\n"),
            justify="left" if left else "right",
            overflow="fold",
            no_wrap=not left,
            min_width=least or None,
        )
    for row in cells.rows:
        shown.add_row(*(Text(text, style=STYLES.get(text.partition(" (")[0], "")) for text in row))
    return shown


def _unbroken(text: str) -> list[str]:
    """The parts of a text that must stay on one line: our own words, and the start of a name."""
    return [TOO_FEW] if text.startswith(TOO_FEW) else [text[:NAME]]


def _flip(equal: EqualCost, pair: Pair) -> list[str]:
    names, form = _names(equal), _signed(pair.metric)
    differences = [_interval(found.mean, found.half_width, form) for found in (pair.samples, pair.cost)]
    resolved = "yes" if pair.word == RESOLVED else "no"  # a word that fits 80 columns
    return [names[pair.first], names[pair.second], *differences, f"{pair.budget:.2f}", _leads(pair), resolved]


def _leads(pair: Pair) -> str:
    """The cost from which the second rule leads."""
    return f"from {pair.changes[-1]:.2f}" if pair.changes else "all along"


def _value(row: Values) -> str:
    metric = METRICS[row["metric"]]
    if row["n"] == 0:
        return ABSENT
    spread = "" if math.isnan(row["value_ci"]) else f" ± {number(row['value_ci'], metric.format)}"
    return f"{number(row['value'], metric.format)}{spread}{ENDED if row['ended'] else ''}"


def _interval(center: float, half: float, form: str) -> str:
    if math.isnan(center):
        return ABSENT
    return f"{center:{form}}" + ("" if math.isnan(half) else f" ± {half:{form.removeprefix('+')}}")


def _signed(metric: Metric) -> str:
    return f"+{metric.format.removeprefix('z')}"


def _names(equal: EqualCost) -> Mapping[str, str]:
    return labels(equal.table["rule"])


def _metric(equal: EqualCost, task: str) -> Metric:
    return METRICS[next(iter(_rows(equal, task)))["metric"]]


def _rows(equal: EqualCost, task: str) -> list[Values]:
    return [*equal.table[equal.table["task"] == task].to_dict("records")]

"""Comparisons of rules, for a terminal of 80 columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grape_bench.score.cell import Cell
from grape_bench.score.compare import Comparison, OnTask, Overall
from grape_bench.score.inference import mean
from grape_bench.score.labels import labels
from grape_bench.score.power import MOST
from grape_bench.score.quantity import ABSENT, number

CAPTION = (
    "A - B: mean over common seeds ± its 95 % interval. p: paired t-test on a task, paired sign-flip test over all "
    "(task, seed); Holm-adjusted. Costs are A ÷ B."
)
STYLES = {"above": "green", "below": "red", "no result": "red", "tied": "", "not resolved": ""}


def render(comparisons: Sequence[Comparison]) -> RenderableType:
    """A table per comparison, its result over all tasks in words, and a caption."""
    parts: list[RenderableType] = []
    for comparison in comparisons:
        names = labels((comparison.first, comparison.second))
        heading = f"A = {names[comparison.first]}   B = {names[comparison.second]}"
        parts += [Text(heading, style="bold"), _table(comparison)]
        parts += [_overall(comparison.overall)] if comparison.overall else []
        parts += [*_remarks(comparison), ""]
    return Group(*parts, Text(" ".join([CAPTION, *_scales(comparisons)]), style="dim"))


def values(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain values for `--json`, under the names of its dataclasses. An unknown number is NaN."""
    overall = comparison.overall
    return {
        "first": comparison.first,
        "second": comparison.second,
        "worse": comparison.worse,
        "tasks": [_task_values(task) for task in comparison.tasks],
        "overall": {
            "unit": overall.unit,
            "difference": overall.difference._asdict(),
            "p": overall.p,
            "pairs": overall.pairs,
            "verdict": overall.verdict,
            "left_out": list(overall.left_out),
        }
        if overall
        else None,
    }


def _task_values(task: OnTask) -> dict[str, Any]:
    first, second = (
        {"value": cell.metric.value(mean(cell.scores.values())), "seeds": sorted(cell.scores), "status": cell.status}
        for cell in (task.first, task.second)
    )
    return {
        "task": task.first.task,
        "metric": task.first.metric.name,
        "scale": task.first.metric.scale,
        "first": first,
        "second": second,
        "difference": task.difference._asdict(),
        "p": task.p,
        "step": task.step,
        "memory": task.memory,
        "verdict": task.verdict,
        "judged": task.judged,
        "needed": task.needed,
    }


def _scales(comparisons: Sequence[Comparison]) -> list[str]:
    """One line per metric whose differences are on another scale than its values."""
    metrics = {task.first.metric.name: task.first.metric for one in comparisons for task in one.tasks}
    return [
        f"For the {metric.heading}, A - B is in {metric.scale}: above 0, A is better."
        for metric in metrics.values()
        if metric.scale
    ]


def _table(comparison: Comparison) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    shown.add_column("task", overflow="fold")
    for name in ("A", "B", "A - B", "n", "p", "step", "mem"):
        shown.add_column(name, justify="right", no_wrap=True)
    # "not resolved" takes two lines, so that the name of a task does not have to.
    shown.add_column("A is", max_width=len("resolved"))
    for task in comparison.tasks:
        shown.add_row(*_row(task), Text(task.verdict, style=STYLES[task.verdict]))
    return shown


def _overall(overall: Overall) -> Text:
    value, low, high = overall.difference
    between = f"{value:+.3f}" if math.isnan(low) else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
    text = Text(f"all tasks, in {overall.unit}: A - B = {between}, p {_p(overall.p)}, {overall.pairs} pairs: A is ")
    text.append(overall.verdict, style=STYLES[overall.verdict])
    if overall.left_out:
        text.append(f" (without {', '.join(overall.left_out)}, where BP is not above chance)")
    return text


def _row(task: OnTask) -> list[str]:
    center, half, n = task.difference
    form = f"+{task.first.metric.format.removeprefix('z')}"
    between = f"{center:{form}}"
    between += "" if math.isnan(half) else f" ± {half:{form.removeprefix('+')}}"
    return [
        task.first.task,
        _value(task.first),
        _value(task.second),
        between if n else ABSENT,
        str(n),
        _p(task.p),
        number(task.step),
        number(task.memory),
    ]


def _value(cell: Cell) -> str:
    return number(cell.metric.value(mean(cell.scores.values())), cell.metric.format) if cell.scores else cell.status


def _p(p: float) -> str:
    if math.isnan(p):
        return ABSENT
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _remarks(comparison: Comparison) -> list[Text]:
    """The verdicts on both rules, the seeds that are missing, and the jobs that did not finish."""
    names = labels((comparison.first, comparison.second))
    remarks = [*_judged(comparison), *_more_seeds(comparison)]
    for task in comparison.tasks:
        for name, cell in ((comparison.first, task.first), (comparison.second, task.second)):
            if cell.status:
                remarks.append(Text(f"! {cell.task}, {names[name]}: {cell.status}", style="yellow"))
    return remarks


def _more_seeds(comparison: Comparison) -> Iterator[Text]:
    """One line on how many more seeds would resolve the remaining tasks."""
    found = []
    for task in comparison.tasks:
        if task.needed is not None:
            more = f"{task.needed - task.difference.n}" if task.needed <= MOST else f"more than {MOST}"
            found.append(f"{task.first.task} {more}")
    if found:
        yield Text(f"more seeds on both sides that would settle it (80 % power): {', '.join(found)}")


def _judged(comparison: Comparison) -> Iterator[Text]:
    """One line per rule: its verdicts, each with its tasks."""
    for index, name in enumerate("AB"):
        tasks: dict[str, list[str]] = {}
        for task in comparison.tasks:
            if task.judged[index]:
                tasks.setdefault(task.judged[index], []).append(task.first.task)
        if tasks:
            words = "; ".join(f"{word} ({', '.join(where)})" for word, where in tasks.items())
            yield Text(f"{name}: {words}", style="" if set(tasks) == {"trained"} else "yellow")

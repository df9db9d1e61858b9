"""The search behind tuned settings: the validation score of each trial against its learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grape_bench.plan.find import baseline_folders
from grape_bench.plan.tuned import TunedTask, read_tuned, tuned_file
from grape_bench.report.figures import look
from grape_bench.report.palette import styles
from grape_bench.score.cell import Cell
from grape_bench.score.metric import Metric
from grape_bench.score.results import Results

MOST_TASKS, MOST_LINES = 12, 12
"""The most tasks, and the most lines in a panel. A task with more rules has several panels."""

WORST, MARGIN = 100, 1.25
"""A panel of perplexities shows values up to this many times its lowest one, and a margin."""


@dataclass(frozen=True)
class Search:
    """The trials of one rule on one task. `only_rate` is true if they differ in the learning rate alone."""

    rule: str
    found: TunedTask
    only_rate: bool

    @property
    def points(self) -> list[tuple[float, float]]:
        """Learning rate and validation score of each trial, by rate. A diverged trial has the score of chance."""
        return sorted((_rate(trial.settings["lr"]), trial.validation) for trial in self.found.trials)

    @property
    def chosen(self) -> tuple[float, float]:
        """The point of the trial whose settings the runs use."""
        trial = self.found.trials[self.found.trial]
        return _rate(trial.settings["lr"]), trial.validation


def searches(results: Results) -> dict[str, list[Search]]:
    """Task -> the recorded searches whose settings the results use, in the order of the table."""
    found: dict[str, list[Search]] = {}
    for (task, rule), cell in results.grid.items():
        for search in _searched(cell) if rule in results.rules else ():
            found.setdefault(task, []).append(search)
    return found


def _searched(cell: Cell) -> Iterator[Search]:
    """The search of one cell, if its trials are recorded and its runs use their best learning rate."""
    job = cell.records[0].job
    files = [tuned_file(folder / job.suite, cell.rule) for folder in baseline_folders()]
    path = next((path for path in files if path.is_file()), None)
    if job.trials < 2 or path is None:
        return
    tuned = read_tuned(path)
    same = (tuned.suite, tuned.version, tuned.trials) == (job.suite, job.version, job.trials)
    task = tuned.tasks.get(cell.task)
    if same and task and task.settings.get("lr", ...) == job.optimizer["lr"]:
        yield Search(cell.rule, task, only_rate=set(tuned.space) == {"lr"})


def _rate(value: object) -> float:
    assert isinstance(value, int | float)  # the settings of a job, which checks them
    return float(value)


def shown(results: Results) -> list[str]:
    """The tasks that are drawn: the first ones with a search."""
    return list(searches(results))[:MOST_TASKS]


def draw(results: Results, path: Path, width: float = look.WIDTH) -> None:
    """Draw a panel per task that is `shown`: a line per rule, with a larger marker at the chosen trial."""
    look.render(lambda: _figure(results, width), path, width)


def _figure(results: Results, width: float) -> Figure:
    every = searches(results)
    parts = [(task, part) for task in shown(results) for part in _parts(every[task])]
    heights = [look.inches(max(15, len(part) + 7)) for _, part in parts]  # the legend has a line per rule
    figure = look.canvas(min(width, 8.0), sum(heights))
    panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for (task, part), axes in zip(parts, panels, strict=True):
        metric = results.metric(task)
        _draw_panel(axes, results, part, metric)
        look.heading(axes, look.plain(task))
        axes.set_ylabel(f"validation {metric.label}")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    panels[-1].set_xlabel("learning rate of a trial")
    return figure


def _parts(found: list[Search]) -> list[list[Search]]:
    """The searches of a task, in panels of at most `MOST_LINES` lines."""
    count = math.ceil(len(found) / math.ceil(len(found) / MOST_LINES))
    return [found[start : start + count] for start in range(0, len(found), count)]


def _draw_panel(axes: Axes, results: Results, found: list[Search], metric: Metric) -> None:
    style, names = styles(results.rules), look.names(results.names)
    for search in found:
        color, dash, marker = style[search.rule]
        rates, scores = zip(*search.points, strict=True)
        line = dash if search.only_rate else "none"  # between trials that differ in more, a line would mean nothing
        axes.plot(rates, scores, marker, linestyle=line, color=color, markersize=3.5, label=names[search.rule])
        axes.plot(*search.chosen, marker, color=color, markersize=8)
    look.logarithmic(axes, "x", steps=[1])
    if metric.logarithmic:
        look.logarithmic(axes, "y")
        every = [score for search in found for _, score in search.points]
        # One trial that nearly diverged would hide all others.
        axes.set_ylim(min(every) / MARGIN, MARGIN * min(max(every), WORST * min(every)))
    look.grid(axes)

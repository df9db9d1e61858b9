"""The accuracy that a cheaper refresh of GrAPE costs: a figure and two tables.

    grape-bench run grape-frontier && grape-bench report grape-frontier
    python -m benchmarks.frontier

The first table and results/grape-frontier/frontier.svg come from the records in results/. The second is measured: step
times ÷ BP's on larger networks, in turns on one thread, in about four minutes. Both go into docs/speed.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from matplotlib.figure import Figure

from benchmarks import page
from benchmarks.cost import vit
from grape_bench.cost.rules import Subject, measure_costs
from grape_bench.report.figures.look import canvas, render
from grape_bench.report.markdown import pipe_table
from grape_bench.score.cell import Cell, Grid, cells, differences
from grape_bench.score.inference import Interval, interval
from grape_bench.track.runs import read_runs

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "grape-frontier"
PAPER, CONTROL = "grape", "frozen"
ALLOWED = -1.0  # points that the fast form may lose to the paper's
MARKERS = "osD^v<>PX*"  # in addition to colors, so that the figure can be read in gray
NETWORKS = {
    "ResNet-20, 32 pixels": Subject("resnet20", {}),
    "CNN, 32 pixels": Subject("cnn", {}),
    "ViT, 6 blocks, 64 patches": vit(6, 16),
}
LARGER = ("dfa", PAPER, "grape-quarter", "grape-lazy")


@cache
def grid() -> Grid:
    """The recorded cells."""
    return cells(read_runs(RESULTS / "runs").records)


def rows() -> list[tuple[str, str, float, Interval]]:
    """Task, rule, step ÷ BP, and the difference to the paper's algorithm, for every rule but the control."""
    found = []
    for (task, rule), cell in grid().items():
        paper: Cell = grid()[task, PAPER]
        if rule != CONTROL:
            lost = Interval(0.0, 0.0, len(cell.scores)) if rule == PAPER else interval(differences(cell, paper))
            found.append((task, rule, cell.step_ratio, lost))
    return found


def figure() -> Figure:
    """A panel per task: the difference to `grape` with its 95 % interval, over step ÷ BP."""
    tasks = list(dict.fromkeys(task for task, *_ in rows()))
    made = canvas(10.5, 3.6)
    variants = [rule for rule in dict.fromkeys(rule for _, rule, *_ in rows()) if rule != "bp"]
    for axes, task in zip(made.subplots(1, len(tasks)), tasks, strict=True):
        axes.axhspan(ALLOWED, 0, color="#e8f0e8", linewidth=0)
        for name, rule, cost, lost in rows():
            if name == task and rule != "bp":
                color, marker = f"C{variants.index(rule)}", MARKERS[variants.index(rule) % len(MARKERS)]
                axes.errorbar(cost, lost.mean, lost.half_width, fmt=marker, color=color, capsize=2, ms=6, label=rule)
        axes.set_title(task, loc="left", fontsize=9.5)
        axes.set_xlabel("step ÷ BP")
    made.legend(*made.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    made.axes[0].set_ylabel("test accuracy - that of grape (points)")
    return made


def accuracy_table() -> str:
    """The frontier as a Markdown table: a row per rule, two columns per task."""
    tasks = list(dict.fromkeys(task for task, *_ in rows()))
    by_rule: dict[str, list[str]] = {}
    for _, rule, cost, lost in sorted(rows(), key=lambda row: tasks.index(row[0])):
        text = "0" if rule == PAPER else f"{lost.mean:+.2f} ± {lost.half_width:.2f}"
        by_rule.setdefault(rule, []).extend([text, f"{cost:.2f}"])
    headings = ["rule", *(heading for task in tasks for heading in (task, "step ÷ BP"))]
    return pipe_table(
        headings, [(f"`{rule}`", *texts) for rule, texts in by_rule.items()], [True] + [False] * 2 * len(tasks)
    )


def cost_table() -> str:
    """Step ÷ BP on larger networks, with quartiles, measured now."""
    torch.set_num_threads(1)
    measured = {name: measure_costs(subject, LARGER, budget_s=40) for name, subject in NETWORKS.items()}
    texts = []
    for rule in LARGER:
        times = [cost.time for found in measured.values() for cost in found if cost.rule == rule]
        texts.append((f"`{rule}`", *(f"{time.median:.2f} ({time.low:.2f}–{time.high:.2f})" for time in times)))
    return pipe_table(["rule", *NETWORKS], texts, [True] + [False] * len(NETWORKS))


if __name__ == "__main__":
    render(figure, RESULTS / "frontier.svg")
    section = f"{accuracy_table()}\n\nStep ÷ BP on larger networks:\n\n{cost_table()}"
    page.write("speed.md", "frontier", f"\n{section}\n")

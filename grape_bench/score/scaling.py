"""How a rule changes with the size of the network: gap to BP, alignment and anchor effect over depth or width.

Tasks named `FAMILY-depth-N` or `FAMILY-width-N` are one series. Their other settings are up to the suite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np

from grape_bench.record.rule_name import ANCHOR, FROZEN
from grape_bench.score.alignment import COSINE
from grape_bench.score.inference import Interval, interval, mean
from grape_bench.score.results import Results

NAME = re.compile(r"(?P<family>.+)-(?P<axis>depth|width)-(?P<size>\d+)")
LEAST = 3  # sizes of a series
Values = dict[int, float]  # seed -> value


@dataclass(frozen=True)
class Series:
    """The tasks of one `family`, by size along the `axis` ("depth" or "width")."""

    family: str
    axis: str
    tasks: Mapping[int, str]


class Followed(NamedTuple):
    """A quantity followed over the sizes: its heading, and its values at one task by seed (empty if not measured)."""

    heading: str
    at: Callable[[Results, str, str], Values]


@dataclass(frozen=True)
class Trend:
    """One quantity of one rule along a series. `points` maps a size to its mean and 95 % interval over seeds.

    `slope` is the change per doubling of the size: the mean of the least-squares slopes of the seeds that have every
    size, with its 95 % interval.
    """

    series: Series
    rule: str
    quantity: str
    points: Mapping[int, Interval]
    slope: Interval


def series(tasks: Iterable[str]) -> list[Series]:
    """The series among `tasks` that have at least `LEAST` sizes, in the order of their first task."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for task in tasks:
        if match := NAME.fullmatch(task):
            found.setdefault((match["family"], match["axis"]), {})[int(match["size"])] = task
    return [
        Series(family, axis, dict(sorted(sizes.items())))
        for (family, axis), sizes in found.items()
        if len(sizes) >= LEAST
    ]


def gap_to_bp(results: Results, task: str, rule: str) -> Values:
    """BP's score minus the rule's, seed by seed."""
    bp = results.grid.get((task, "bp"))
    return _differences(bp.scores, results.grid[task, rule].scores) if bp and rule != "bp" else {}


def alignment(results: Results, task: str, rule: str) -> Values:
    """The cosine between signal and true gradient at the end of training, mean over blocks."""
    found = {}
    for record in results.grid[task, rule].results:
        rows = results.diagnostics.get(record.id)
        if rule != "bp" and rows is not None and COSINE.name in rows:
            last = rows[rows["samples"] == rows["samples"].max()][COSINE.name].dropna()
            if len(last):
                found[record.seed] = mean(last)
    return found


def anchor_effect(results: Results, task: str, rule: str) -> Values:
    """The score with anchors minus the score without, seed by seed. Only for a rule that ends in `+anchor`."""
    plain = results.grid.get((task, rule.removesuffix(ANCHOR)))
    return _differences(results.grid[task, rule].scores, plain.scores) if plain and rule.endswith(ANCHOR) else {}


QUANTITIES = {
    "gap": Followed("gap to BP", gap_to_bp),
    "alignment": Followed("alignment", alignment),
    "anchor": Followed("anchor effect", anchor_effect),
}


def trends(results: Results) -> list[Trend]:
    """Every quantity of every rule along every series of `results`, where at least `LEAST` sizes were measured."""
    found = []
    for one in series(results.tasks):
        for name, followed in QUANTITIES.items():
            for rule in results.rules:
                at = {
                    size: followed.at(results, task, rule)
                    for size, task in one.tasks.items()
                    if (task, rule) in results.grid
                }
                at = {size: values for size, values in at.items() if values}
                if len(at) >= LEAST:
                    points = {size: interval(values.values()) for size, values in at.items()}
                    found.append(Trend(one, rule, name, points, slope(at)))
    return found


class Extrapolation(NamedTuple):
    """The seconds of one training at ten and a hundred times the largest size, extrapolated by a power law.

    `power` is the exponent: 1 means that twice the size takes twice the time.
    """

    series: Series
    rule: str
    power: float
    measured_s: float
    ten_s: float
    hundred_s: float


def extrapolations(results: Results) -> list[Extrapolation]:
    """For every rule with `LEAST` measured sizes of a series: the line through the logarithms of size and time.

    `frozen` has none, because it trains no network.
    """
    found = []
    for one in series(results.tasks):
        for rule in results.rules:
            if rule == FROZEN:  # it trains no network
                continue
            seconds = {
                size: median(times)  # a job that was paused or crowded out does not count for much
                for size, task in one.tasks.items()
                if (cell := results.grid.get((task, rule)))
                and (times := [record.time.train_s for record in cell.results if record.time and record.time.train_s])
            }
            if len(seconds) >= LEAST:
                power, start = np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)
                largest = max(seconds)
                ten, hundred = (math.exp(start + power * math.log(times * largest)) for times in (10, 100))
                found.append(Extrapolation(one, rule, float(power), seconds[largest], ten, hundred))
    return found


def slope(at: Mapping[int, Values]) -> Interval:
    """The change per doubling of the size, over the seeds that `at` has at every size."""
    # Example: values 1, 3, 5 at sizes 2, 4, 8 -> log2 is 1, 2, 3 -> a slope of 2 per doubling
    seeds = set.intersection(*(set(values) for values in at.values()))
    doublings = [math.log2(size) for size in at]
    return interval(
        float(np.polyfit(doublings, [values[seed] for values in at.values()], 1)[0]) for seed in sorted(seeds)
    )


def _differences(one: Mapping[int, float], other: Mapping[int, float]) -> Values:
    return {seed: one[seed] - other[seed] for seed in one if seed in other}

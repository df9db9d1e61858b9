"""The report as one Markdown page: tables, figures and provenance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from grape_bench.record.environment import Environment, Git
from grape_bench.record.record import Record
from grape_bench.report import equal_cost, markdown
from grape_bench.report.templates import text_template
from grape_bench.score.columns import OVERALL
from grape_bench.score.inference import Interval, mean
from grape_bench.score.quantity import ABSENT, Values
from grape_bench.score.results import Results
from grape_bench.score.scaling import QUANTITIES, extrapolations, trends


def render(results: Results, figures: Mapping[str, str], notes: str = "") -> str:
    """The page. `figures` maps files next to the page to what they show. `notes` is Markdown for the top."""
    names = results.names
    return text_template("readme.md.j2").render(
        title=markdown.escape(title(results)),
        notes=notes.strip(),
        table=markdown.render(results.table),
        overall=_overall(results),
        best=markdown.escape(results.overall.attrs.get("best", "")),
        left_out=", ".join(markdown.escape(names[rule]) for rule in results.overall.attrs.get("left_out", [])),
        targets=_targets(results),
        equal=equal_cost.render(results.equal) if results.equal else "",
        trends=_trends(results),
        forecasts=_forecasts(results),
        gains=_gains(results),
        figures=figures,
        facts={name: markdown.escape(value) for name, value in facts(results.records).items()},
    )


def title(results: Results) -> str:
    """Suite and version."""
    records = results.records
    return f"{records[0].suite} {records[0].job.version}" if records else "No records"


def _overall(results: Results) -> str:
    names = results.names
    rows = []
    for row in results.overall.to_dict("records"):
        verdict = results.verdict(row["rule"]) or ABSENT
        rows.append([markdown.escape(names[row["rule"]]), verdict, *(quantity.text(row) for quantity in OVERALL)])
    headings = ["rule", "verdict", *(quantity.heading for quantity in OVERALL)]
    return markdown.pipe_table(headings, rows, [True, True] + [False] * len(OVERALL)) if rows else ""


def _targets(results: Results) -> str:
    if results.targets.empty:
        return ""
    names, rows = results.names, []
    for (task, rule), group in results.targets.groupby(["task", "rule"], sort=False):
        times = [target_text(row) for row in group.to_dict("records")]
        rows.append([markdown.escape(str(task)), markdown.escape(names[str(rule)]), *times])
    headings = ["task", "rule", *(f"{100 * share:.0f} %" for share in results.targets["share"].unique())]
    return markdown.pipe_table(headings, rows, [True, True] + [False] * (len(headings) - 2))


def _trends(results: Results) -> str:
    """One line per series and rule, one column per quantity."""
    names = results.names
    found = {(one.series.family, one.series.axis, one.rule, one.quantity): one.slope for one in trends(results)}
    rows = []
    for family, axis, rule in dict.fromkeys(key[:3] for key in found):
        slopes = [found.get((family, axis, rule, quantity)) for quantity in QUANTITIES]
        rows.append([markdown.escape(family), axis, markdown.escape(names[rule]), *map(_signed, slopes)])
    headings = ["network", "over", "rule", *(quantity.heading for quantity in QUANTITIES.values())]
    return markdown.pipe_table(headings, rows, [True] * 3 + [False] * len(QUANTITIES)) if rows else ""


def _signed(value: Interval | None) -> str:
    if value is None or value.n == 0:
        return ABSENT
    half = "" if math.isnan(value.half_width) else f" ± {value.half_width:.2f}"
    return f"{value.mean:+.2f}{half} ({value.n})"


def _forecasts(results: Results) -> str:
    names = results.names
    rows = [
        [markdown.escape(one.series.family), one.series.axis, markdown.escape(names[one.rule]), f"{one.power:.2f}"]
        + [f"{seconds:,.0f} s" for seconds in (one.measured_s, one.ten_s, one.hundred_s)]
        for one in extrapolations(results)
    ]
    headings = ["network", "over", "rule", "power", "largest, measured", "10 times", "100 times"]
    return markdown.pipe_table(headings, rows, [True] * 3 + [False] * 4) if rows else ""


def _gains(results: Results) -> str:
    """One line per task and tuned rule: its values untuned and tuned, and the difference in score."""
    names, headings = results.names, ["task", "rule", "untuned", "tuned", "gain"]
    rows = []
    for one in results.gains:
        form = one.tuned.metric.format
        values = [f"{mean(cell.values.values()):{form}} ({len(cell.values)})" for cell in (one.untuned, one.tuned)]
        task, rule = markdown.escape(one.tuned.task), markdown.escape(names[one.tuned.rule])
        rows.append([task, rule, *values, _signed(one.difference)])
    return markdown.pipe_table(headings, rows, [True, True, False, False, False]) if rows else ""


def target_text(row: Values) -> str:
    """`12,000 (8.1 s)`: samples and seconds, then how many seeds reached the target if not all did."""
    seeds = "" if row["reached"] == row["n"] else f" {row['reached']:.0f}/{row['n']:.0f}"
    if pd.isna(row["samples"]):
        return f"{ABSENT}{seeds}"
    seconds = "" if pd.isna(row["seconds"]) else f" ({row['seconds']:.1f} s)"
    return f"{row['samples']:,.0f}{seconds}{seeds}"


def facts(records: Sequence[Record]) -> dict[str, str]:
    """Where the numbers come from: suite, machine, versions, commits, dates. Values that differ are all listed."""
    environments = [record.environment for record in records]
    ended = sorted(str(record.ended) for record in records if record.ended)
    found = {
        "Suite": _each(f"{record.suite} {record.job.version}" for record in records),
        "Records": _statuses(records),
        "Hardware": _each(environment.hardware.kind for environment in environments),
        "Commit": _each(_commit(environment.git) for environment in environments),
        "Packages": _packages(environments),
        "Measured": f"{ended[0][:10]} to {ended[-1][:10]}" if ended else "",
    }
    return {name: value for name, value in found.items() if value}


def _statuses(records: Sequence[Record]) -> str:
    counts = Counter(record.status.value for record in records)
    return f"{len(records)} ({', '.join(f'{n} {status}' for status, n in counts.most_common())})"


def _commit(git: Git) -> str:
    commit = git.commit[:12]
    return f"{commit} with uncommitted changes" if git.dirty else commit


def _packages(environments: Sequence[Environment]) -> str:
    every = [{"python": e.python, **e.packages} for e in environments]
    names = dict.fromkeys(name for packages in every for name in packages)
    return ", ".join(f"{name} {_each((p[name] for p in every if name in p), ' / ')}" for name in names)


def _each(values: Iterable[str], separator: str = "; ") -> str:
    return separator.join(sorted(set(values)))

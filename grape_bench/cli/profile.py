"""`grape-bench profile`: the cost of rules on a model, relative to backpropagation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grape_bench.cli.names import RuleReference
from grape_bench.cli.say import as_json, say, say_json
from grape_bench.cli.subject import describing, make_subject

if TYPE_CHECKING:
    from rich.table import Table

    from grape_bench.cost.rules import Cost

MEBI = 2**20
PARALLEL = (
    "Left: share of the step time. Right: speedup over BP on one device, if time were proportional to FLOPs: "
    "independent blocks in parallel, and a pipeline of 2, 4, 8 devices with 8 micro-batches (docs/diagnostics.md)."
)
CAPTION = (
    "Ratios to BP: time and memory of a step, FLOPs, FLOPs of tangents, and FLOPs on the critical path. "
    "Attach: ratio to one forward pass."
)


@click.command("profile")
@click.option(
    "--model", required=True, metavar="M", help="Model id, as in a suite: mlp, timm:NAME, hf:NAME, file.py:factory."
)
@describing
@click.option(
    "--rule",
    "rules",
    multiple=True,
    type=RuleReference(),
    metavar="R",
    help='Rule, may be repeated. "dfa lean" trains block by block; "bp checkpoint" recomputes activations.',
)
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(min=1))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="CPU threads.")
@click.option(
    "--seconds",
    default=20.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Time budget for all rules together.",
)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Also write the table to this file.")
@as_json
def command(
    model: str,
    model_args: tuple[str, ...],
    rules: tuple[str, ...],
    shape: str,
    classes: int,
    batch_size: int,
    threads: int,
    seconds: float,
    csv_file: Path | None,
    json: bool,
) -> None:
    """Measure step time, peak memory, FLOPs and critical path of rules on a model, as ratios to BP.

    Times are medians and quartiles over rounds in which the rules take turns. "dfa lean" trains block by block, and
    "bp checkpoint" uses the model's activation checkpointing.
    """
    import torch

    from grape_bench.cost.rules import measure_costs, rows
    from grape_bench.report.console import PlainConsole

    torch.set_num_threads(threads)
    subject = make_subject(model, model_args, shape, classes, batch_size)
    costs = measure_costs(subject, list(rules or ("fa", "dfa", "dfa lean", "grape", "head-only")), budget_s=seconds)
    if json:
        flops = costs[0].flops.total
        say_json({"model": model, "batch_size": batch_size, "bp_flops": flops, "rules": rows(costs)})
    else:
        console = PlainConsole()
        console.print(table(costs))
        console.print(parallel(costs))
        say(f"{model}, batch {batch_size}: BP takes {1000 * costs[0].step_s:.1f} ms per step on this machine,")
        say(f"{costs[0].flops.total / 1e9:.2f} GFLOP and {costs[0].memory / MEBI:.0f} MiB above the weights.")
    if csv_file:
        write_csv(costs, csv_file)


def table(costs: list[Cost]) -> Table:
    """Return the table of costs, at most 80 columns wide."""
    from grape_bench.cost.rules import rows

    out = _narrow(("rule", "time (quartiles)", "memory", "FLOPs", "tangents", "path", "attach"), CAPTION)
    for row in rows(costs):
        numbers = [f"{row[key]:.2f}" for key in ("memory", "flops", "tangents", "critical", "attach")]
        time = f"{row['time']:.2f} ({row['time_low']:.2f}-{row['time_high']:.2f})"
        out.add_row(_label(str(row["rule"])), time, *numbers)
    return out


def parallel(costs: list[Cost]) -> Table:
    """Return the table of time shares, and of the possible speedup from blocks that run in parallel."""
    from grape_bench.cost.rules import rows

    shares = [f"{name}_share" for name in ("forward", "tangents", "credit", "update")]
    gains = ["layer_parallel", *(f"pipeline_{devices}" for devices in (2, 4, 8))]
    out = _narrow(("rule", "forward", "tangents", "credit", "update", "blocks", "2", "4", "8"), PARALLEL)
    for row in rows(costs):
        time = [f"{100 * float(row[share]):.0f} %" if share in row else "–" for share in shares]
        out.add_row(_label(str(row["rule"])), *time, *(f"{row[gain]:.2f}" if gain in row else "–" for gain in gains))
    return out


def _narrow(columns: Sequence[str], caption: str) -> Table:
    """A table that fits 80 columns without cutting off numbers. Long rule names wrap instead."""
    from rich import box
    from rich.table import Table

    out = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    out.add_column(columns[0], overflow="fold", max_width=18)
    for name in columns[1:]:
        out.add_column(name, justify="right", no_wrap=True)
    return out


def _label(rule: str) -> str:
    """Drop the file from a rule's name, and keep how it trains: `my.py:Mine lean` -> `Mine lean`."""
    from grape_bench.record.rule_name import RuleName

    name, *how = rule.split(" ")
    return " ".join((RuleName.parse(name).label, *how))


def write_csv(costs: list[Cost], path: Path) -> None:
    """Write the numbers of both tables, unrounded."""
    import pandas as pd

    from grape_bench.cost.rules import rows
    from grape_bench.report import csv

    csv.write(pd.DataFrame(rows(costs)), path)

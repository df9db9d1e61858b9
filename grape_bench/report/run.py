"""One run on a page of a terminal: settings, outcome, curve, alignment by block, verdict and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grape_bench.record.job import Job
from grape_bench.record.parts import Diagnostics
from grape_bench.record.record import Record
from grape_bench.record.table import Table as FileTable
from grape_bench.record.table import read_curve, read_diagnostics
from grape_bench.report import cost
from grape_bench.report.sparkline import sparkline
from grape_bench.score.verdict import TRAINED, Verdict

NAMED = {
    "signal_cos": "cosine of the signal at the output and the true dL/dh, over training (0 to 1), and at its end",
    "null": "that of random direct feedback",
    "B·J": "cosine of the feedback B and the Jacobian J",
    "B·W": "cosine of the feedback B and the weights W",
    "gradient": "cosine of the parameters' gradients and the true ones",
    "growth": "size of the output ÷ the block's before",
    "gain": "norm of dL/dh ÷ that of the error",
    "probe": "accuracy (%) of a linear classifier on the output",
}
COLUMNS = {
    "null": ("null_cos", ".2f"),
    "B·J": ("feedback_cos", ".2f"),
    "B·W": ("weight_cos", ".2f"),
    "gradient": ("gradient_cos", ".2f"),
    "growth": ("growth", ".3g"),
    "gain": ("gain", ".2g"),
    "probe": ("probe_accuracy", ".0f"),
}
SUMS = ("(hidden)", "(network)")


def render(record: Record, verdict: Verdict, folder: Path | None) -> RenderableType:
    """The page of `record`, whose curve and diagnostics lie in `folder`; print it with a `rich.console.Console`."""
    parts: list[RenderableType] = [
        Text(f"{record.task}  {record.rule}  seed {record.seed}", style="bold"),
        _pairs(_settings(record.job)),
        "",
        Text("outcome", style="bold"),
        _pairs(_outcome(record)),
    ]
    if record.profile:
        peak = record.memory.peak_bytes if record.memory else None
        parts += ["", Text("cost", style="bold"), _pairs(cost.lines(record.profile, peak))]
    curve = _frame(read_curve(folder, record)) if folder else None
    if curve is not None:
        parts += ["", Text("curve", style="bold"), _curve(curve)]
    rows = _frame(read_diagnostics(folder, record)) if folder else None
    if rows is not None and record.diagnostics:
        parts += ["", Text("blocks", style="bold"), _blocks(rows), _legend(rows), _whole(record.diagnostics, rows)]
    elif record.diagnostics and record.diagnostics.failed:
        parts += ["", Text(f"no diagnostics: {record.diagnostics.failed}", style="yellow")]
    return Group(*parts, "", *_verdict(verdict))


def _settings(job: Job) -> dict[str, str]:
    inside = {key: value for key, value in job.optimizer.items() if key != "name"}
    return {
        "suite": f"{job.suite} {job.version}",
        "model": _with(job.model, job.model_args),
        "data": _with(job.dataset, job.dataset_args),
        "rule": _with(job.rule, job.rule_settings),
        "optimizer": f"{_with(job.optimizer['name'], inside)}, {job.schedule}",
        "budget": f"{job.epochs} epochs, batches of {job.batch_size}, {job.precision}",
    }


def _outcome(record: Record) -> dict[str, str]:
    found = {"status": " ".join(filter(None, (record.status, record.reason)))}
    metric, result, time = record.metric, record.result, record.time
    if metric and result:
        values = {"test": result.test, "validation": result.validation}
        reached = ", ".join(f"{name} {value:.2f}" for name, value in values.items() if value is not None)
        found[metric.name] = f"{reached} (chance {metric.chance:.4g})"
    if time:
        found["time"] = f"{time.train_s:.1f} s of training, {time.steps} steps"
        if time.diagnose_s is not None and time.train_s:
            found["time"] += f"; diagnostics {time.diagnose_s:.1f} s"
    if record.memory:
        found["memory"] = f"{record.memory.peak_bytes / 2**20:.0f} MiB at the peak"
    fraction = record.credit.bp_fraction if record.credit else None
    if fraction is not None and math.isfinite(fraction):
        found["BP fraction"] = f"{fraction:.3f}"
    return found


def _curve(curve: pd.DataFrame) -> Table:
    table = _bare(3)
    for name in ("train_loss", "validation_loss", "validation_accuracy", "validation_perplexity"):
        if name in curve:
            values = curve[name].astype(float).tolist()
            table.add_row(name.replace("_", " "), sparkline(values), f"{values[0]:.4g} → {values[-1]:.4g}")
    return table


def _blocks(rows: pd.DataFrame) -> Table:
    """A line per block: its alignment over training, and the other metrics at the end."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    shown = [name for name, (column, _) in COLUMNS.items() if column in rows]
    table.add_column("block", overflow="fold")
    table.add_column("signal_cos", no_wrap=True)
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for block, series in rows[~rows["block"].isin(SUMS)].groupby("block", sort=False):
        cosines = series["signal_cos"].tolist() if "signal_cos" in series else []
        last = series.iloc[-1]
        line = f"{sparkline(cosines, low=0, high=1, width=12)} {_number(cosines[-1] if cosines else math.nan, '.2f')}"
        table.add_row(str(block), line, *(_number(last[COLUMNS[name][0]], COLUMNS[name][1]) for name in shown))
    return table


def _legend(rows: pd.DataFrame) -> Text:
    present = ["signal_cos", *(name for name, (column, _) in COLUMNS.items() if column in rows)]
    return Text("; ".join(f"{name}: {NAMED[name]}" for name in present) + ".", style="dim")


def _whole(found: Diagnostics, rows: pd.DataFrame) -> Table:
    hidden = rows[rows["block"] == SUMS[0]]
    table = _bare(2)
    table.add_row("moments", f"{found.moments}, after {', '.join(str(step) for step in hidden['step'])} steps")
    for name, value, text in (
        ("descent", found.descent, "of the probe batches: raw direction"),
        ("update descent", found.update_descent, "the optimizer's step"),
    ):
        if value is not None:
            table.add_row(name, f"{100 * value:.0f} % {text}")
    if found.zoutendijk is not None:
        table.add_row("Zoutendijk", f"{found.zoutendijk:.4g}, the sum of cos² · ‖gradient‖² over the steps")
    return table


def _verdict(verdict: Verdict) -> list[RenderableType]:
    style = "bold green" if verdict.word == TRAINED else "bold yellow"
    return [Text.assemble(("verdict  ", "bold"), (verdict.word or "none", style)), *_because(verdict.reasons)]


def _because(reasons: Sequence[str]) -> list[RenderableType]:
    table = _bare(2)
    for reason in reasons:
        table.add_row("-", reason)
    return [table]


def _pairs(pairs: Mapping[str, str]) -> Table:
    table = _bare(2)
    for key, value in pairs.items():
        table.add_row(Text(key, style="dim"), Text(value))
    return table


def _bare(columns: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(columns):
        table.add_column(overflow="fold")
    return table


def _with(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name} {', '.join(f'{key} = {value}' for key, value in settings.items())}".strip()


def _number(value: Any, form: str) -> str:
    return "–" if pd.isna(value) else format(value, form)


def _frame(table: FileTable | None) -> pd.DataFrame | None:
    return pd.read_csv(StringIO(table.text)) if table else None

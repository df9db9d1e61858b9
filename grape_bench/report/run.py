"""One run in detail for a terminal: settings, outcome, cost, curve, blocks, verdict and reasons."""

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
from grape_bench.record.profile import Flops, Holders, Pipeline, Profile
from grape_bench.record.record import Record
from grape_bench.record.table import HIDDEN, NETWORK, read_curve, read_diagnostics
from grape_bench.record.table import Table as FileTable
from grape_bench.record.typed_json import encode
from grape_bench.score.columns import COLUMN
from grape_bench.score.diagnostic_columns import DIAGNOSTICS
from grape_bench.score.metric import METRICS
from grape_bench.score.verdict import TRAINED, Verdict

MEBI = 2**20
OPTIONS = ("accumulate", "evaluate_every", "select", "clip", "decay", "groups", "warmup", "schedule_args", "ema")
PHASES = {"forward": "forward", "tangents": "tangents", "credit": "backward", "update": "update", "data": "data"}
KEPT = ("activations", "gradients", "optimizer", "feedback", "owned")
BARS = "▁▂▃▄▅▆▇█"
MISSING = "·"


def render(record: Record, verdict: Verdict, folder: Path | None) -> RenderableType:
    """The page of `record`, with the curve and diagnostics in `folder`. Print it with a rich `Console`."""
    parts: list[RenderableType] = [
        Text(f"{record.task}  {record.job.rule_name.label}  seed {record.seed}", style="bold"),
        _pairs(_settings(record.job)),
        "",
        Text("outcome", style="bold"),
        _pairs(_outcome(record)),
    ]
    if record.profile:
        peak = record.memory.peak_bytes if record.memory else None
        parts += ["", Text("cost", style="bold"), _pairs(costs(record.profile, peak))]
    curve = _frame(read_curve(folder, record)) if folder else None
    if curve is not None:
        parts += ["", Text("curve", style="bold"), _curve(curve)]
    rows = _frame(read_diagnostics(folder, record)) if folder else None
    if rows is not None and record.diagnostics:
        parts += ["", Text("blocks", style="bold"), _blocks(rows), _legend(rows), _whole(record.diagnostics, rows)]
    failed = {"diagnostics": record.diagnostics.failed} if record.diagnostics and record.diagnostics.failed else {}
    for part, reason in {**failed, **(record.lost or {})}.items():
        parts += ["", Text(f"not measured: {part} ({reason})", style="yellow")]
    return Group(*parts, "", *_verdict(verdict))


def _settings(job: Job) -> dict[str, str]:
    inside = {key: value for key, value in job.optimizer.items() if key != "name"}
    cuts = [f"at {', '.join(job.blocks)}"] if job.blocks else []
    cuts += [f"granularity {job.granularity}"] if job.granularity != "block" else []
    cuts += [{"time": "between calls", "both": "between layers and calls"}[job.cuts]] if job.cuts != "depth" else []
    return {
        "suite": f"{job.suite} {job.version}",
        "model": _with(job.model, job.model_args),
        **({"cuts": ", ".join(cuts)} if cuts else {}),
        "data": _with(job.dataset, job.dataset_args),
        **({"objective": objective} if (objective := _with(job.objective or "", job.objective_args or {})) else {}),
        "rule": _with(job.rule, job.rule_settings),
        "optimizer": f"{_with(job.optimizer['name'], inside)}, {job.schedule}",
        "budget": f"{job.budget}, batches of {job.batch_size}, {job.precision}",
        **({"options": options} if (options := _options(job)) else {}),
    }


def _options(job: Job) -> str:
    """The training options of the job's task that are not at their defaults."""
    given = {name: getattr(job, name) for name in OPTIONS}
    return ", ".join(f"{name} = {value}" for name, value in given.items() if value != getattr(Job, name))


def _outcome(record: Record) -> dict[str, str]:
    found = {"status": " ".join(filter(None, (record.status, record.reason)))}
    metric, result, time = record.metric, record.result, record.time
    if metric and result:
        values = {"test": result.test, "validation": result.validation}
        known = METRICS.get(metric.name)
        form = known.format if known else ".4g"
        reached = ", ".join(f"{name} {value:{form}}" for name, value in values.items() if value is not None)
        found[known.heading if known else metric.name] = f"{reached} (chance {metric.chance:.4g})"
    if time:
        found["time"] = f"{time.train_s:.1f} s of training, {time.steps} steps"
        if time.diagnose_s is not None and time.train_s:
            found["time"] += f"; diagnostics {time.diagnose_s:.1f} s"
    if record.memory:
        found["memory"] = f"{record.memory.peak_bytes / MEBI:.0f} MiB at the peak"
    fraction = record.credit.bp_fraction if record.credit else None
    if fraction is not None and math.isfinite(fraction):
        found[COLUMN["bp_fraction"].heading] = f"{fraction:.3f}"
    if (credit := record.credit) and credit.steps and credit.forward_passes:
        forward, backward = credit.forward_passes / credit.steps, credit.backward_passes / credit.steps
        found["passes"] = f"{forward:.3g} forward, {backward:.3g} backward per step"
    return found


def costs(profile: Profile, peak_bytes: float | None) -> dict[str, str]:
    """The cost of a step: one line each for time, memory, FLOPs, pipeline and energy, if they were measured."""
    found = {"step": _time(profile)}
    if profile.holders and peak_bytes is not None:
        found["peak"] = _memory(profile.holders, peak_bytes)
    if profile.flops:
        found["FLOPs"] = _flops(profile.flops, profile.speedup)
    if profile.pipeline:
        found["pipeline"] = _pipeline(profile.pipeline)
    if profile.energy:
        step, bp = profile.energy.step_j, profile.energy.bp_step_j
        found["energy"] = f"{step:.3g} J per step, {step / bp:.2f} of BP's"
    return {name: text for name, text in found.items() if text}


def _time(profile: Profile) -> str:
    text = f"{profile.step_ratio:.2f} of BP's ({profile.low:.2f} to {profile.high:.2f})"
    if not profile.split:
        return text
    seconds: dict[str, float] = encode(profile.split)
    total = sum(seconds.values())
    shares = ", ".join(f"{phase} {100 * seconds[name] / total:.0f} %" for name, phase in PHASES.items())
    return f"{text}, {1000 * total:.3g} ms: {shares}"


def _memory(holders: Holders, peak: float) -> str:
    kept: dict[str, int] = encode(holders)
    parts = {name: kept[name] / MEBI for name in KEPT if name in kept}
    parts["the rest"] = peak / MEBI - sum(parts.values())
    named = ", ".join(f"{name} {size:.3g}" for name, size in parts.items())
    return f"{peak / MEBI:.3g} MiB on top of {kept['weights'] / MEBI:.3g} MiB of weights: {named}"


def _flops(flops: Flops, speedup: float | None) -> str:
    text = f"{flops.total / 1e9:.3g} G, {flops.total / flops.bp:.2f} of BP's"
    if speedup is None:
        return text
    chain = f"{flops.critical / flops.bp:.2f} of BP's on the longest chain of dependent blocks"
    return f"{text}; {chain}: layer-parallel, at most {speedup:.2f} times as fast as BP"


def _pipeline(found: Pipeline) -> str:
    if not found.devices:
        return ""
    rows = [
        f"{name} devices: {row.speedup:.2f} times as fast, idle {100 * row.bubble:.0f} %"
        f" (BP {row.bp_speedup:.2f}, {100 * row.bp_bubble:.0f} %)"
        for name, row in found.devices.items()
    ]
    return f"modeled, {found.micro_batches} micro-batches, relative to BP on one device; {'; '.join(rows)}"


def _curve(curve: pd.DataFrame) -> Table:
    table = _bare(3)
    for name in ("train_loss", "validation_loss", *(metric.column for metric in METRICS.values())):
        if name in curve:
            values = curve[name].astype(float).tolist()
            table.add_row(name.replace("_", " "), sparkline(values), f"{values[0]:.4g} → {values[-1]:.4g}")
    return table


def _blocks(rows: pd.DataFrame) -> Table:
    """One row per block: the alignment over training, and the other quantities at the end."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    cosine, *others = DIAGNOSTICS
    shown = [quantity for quantity in others if quantity.name in rows]
    table.add_column("block", overflow="fold")
    table.add_column(cosine.heading, no_wrap=True)
    for quantity in shown:
        table.add_column(quantity.heading, justify="right", no_wrap=True)
    for block, series in rows[~rows["block"].isin((HIDDEN, NETWORK))].groupby("block", sort=False):
        cosines = series[cosine.name].tolist() if cosine.name in series else []
        last: dict[Any, Any] = {cosine.name: math.nan, **series.iloc[-1].to_dict()}
        line = f"{sparkline(cosines, low=0, high=1, width=12)} {cosine.text(last)}"
        table.add_row(str(block), line, *(quantity.text(last) for quantity in shown))
    return table


def _legend(rows: pd.DataFrame) -> Text:
    cosine, *others = DIAGNOSTICS
    present = [cosine, *(quantity for quantity in others if quantity.name in rows)]
    return Text("; ".join(f"{quantity.heading}: {quantity.meaning}" for quantity in present) + ".", style="dim")


def _whole(found: Diagnostics, rows: pd.DataFrame) -> Table:
    hidden = rows[rows["block"] == HIDDEN]
    table = _bare(2)
    table.add_row("measured", f"{found.moments} times, after {', '.join(str(step) for step in hidden['step'])} steps")
    for name, value, text in (
        ("descent", found.descent, "of the probe batches, for the raw direction"),
        ("update descent", found.update_descent, "of the probe batches, for the optimizer's step"),
    ):
        if value is not None:
            table.add_row(name, f"{100 * value:.0f} % {text}")
    if found.zoutendijk is not None:
        table.add_row("Zoutendijk", f"{found.zoutendijk:.4g}, the sum of cos² · ‖gradient‖² over the steps")
    return table


def _verdict(verdict: Verdict) -> list[RenderableType]:
    style = "bold green" if verdict.word == TRAINED else "bold yellow"
    return [Text.assemble(("verdict  ", "bold"), (verdict.word or "none", style)), _reasons(verdict.reasons)]


def _reasons(reasons: Sequence[str]) -> RenderableType:
    table = _bare(2)
    for reason in reasons:
        table.add_row("-", reason)
    return table


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


def _frame(table: FileTable | None) -> pd.DataFrame | None:
    return pd.read_csv(StringIO(table.text)) if table else None


def sparkline(values: Sequence[float], *, low: float | None = None, high: float | None = None, width: int = 40) -> str:
    """A line of bars, one per value, scaled from `low` to `high` (default: the range of the values).

    More than `width` values are thinned out to equally spaced ones, including the last. A missing value is a dot.
    """
    if len(values) > width:
        values = [values[round(index * (len(values) - 1) / (width - 1))] for index in range(width)]
    present = [value for value in values if math.isfinite(value)]
    if not present:
        return MISSING * len(values)
    bottom = min(present) if low is None else low
    top = max(present) if high is None else high
    return "".join(_bar(value, bottom, top) for value in values)


def _bar(value: float, bottom: float, top: float) -> str:
    if not math.isfinite(value):
        return MISSING
    share = (value - bottom) / (top - bottom) if top > bottom else 0.5
    return BARS[min(len(BARS) - 1, max(0, int(share * len(BARS))))]

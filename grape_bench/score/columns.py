"""Every column, axis and heading that a report shows, declared once.

The terminal, Markdown, LaTeX, `table.csv`, the web page, the figures and docs/reports.md are rendered from these
tables. To add a column to the results, add one `Column` to `COLUMNS`. Then update the docs with
`python -m grape_bench.report.reference docs/reports.md`.
"""

from __future__ import annotations

import math

import pandas as pd

from grape_bench.score.metric_columns import METRIC_COLUMNS
from grape_bench.score.quantity import DRAFT_MARK, Column, Kind, Quantity, Shown
from grape_bench.score.row import DRAFT_BELOW
from grape_bench.score.word_columns import WORD_COLUMNS

SCORE_VERSION = 2
"""The version of the formulas in score/. docs/protocol.md says what each version changed."""


def _settings(trials: pd.Series) -> str:
    return " ".join(
        "Settings: the suite's own, untuned."
        if count == 1
        else f"Settings: the best of {count} trials for each rule, chosen on validation."
        for count in sorted(int(each) for each in trials.dropna().unique())
    )


def _hardware(classes: pd.Series) -> str:
    return f"Hardware: {'; '.join(sorted({name for each in classes for name in each.split('; ') if name}))}."


COLUMNS: tuple[Column, ...] = (
    Column(
        name="task",
        heading="task",
        meaning="Model, data set and budget, as the suite names them.",
        value=lambda row: row.cell.task,
        kind=Kind.TEXT,
        shown=Shown.PAGE,
        reference="protocol.md#what-is-compared",
        optional=False,
    ),
    Column(
        name="rule",
        heading="rule",
        meaning="The learning rule.",
        value=lambda row: row.cell.rule,
        kind=Kind.TEXT,
        shown=Shown.PRINT,
        reference="rules.md",
        optional=False,
        wrap=len("grape+anchor"),
    ),
    Column(
        name="n",
        heading="seeds",
        meaning="Number of seeds with a result.",
        value=lambda row: len(row.cell.scores),
        format="d",
        shown=Shown.PAGE,
        reference="protocol.md#what-counts-as-a-result",
        optional=False,
    ),
    Column(
        name="draft",
        heading="draft",
        meaning=f"True if there are fewer than {DRAFT_BELOW} seeds.",
        value=lambda row: row.draft,
        kind=Kind.MARK,
        caption=lambda drafts: f"{DRAFT_MARK} draft: fewer than {DRAFT_BELOW} seeds." if drafts.any() else "",
        reference="protocol.md#the-scores",
        optional=False,
    ),
    Column(
        name="status",
        heading="status",
        meaning="Jobs that did not finish, such as `crashed 1/3`. Empty if all finished.",
        value=lambda row: row.cell.status,
        kind=Kind.TEXT,
        reference="protocol.md#what-counts-as-a-result",
    ),
    *METRIC_COLUMNS,
    Column(
        name="norm_acc",
        heading="norm acc",
        meaning="(score - chance) / (BP - chance): 0 is chance, 1 is BP.",
        value=lambda row: row.norm_acc,
        shown=Shown.PAGE,
        axis="norm acc over tasks",
        reference="protocol.md#the-scores",
    ),
    Column(
        name="credit",
        heading="credit",
        meaning="(score - frozen) / (BP - frozen): 0 is the best that untrained hidden layers allow, 1 is BP.",
        value=lambda row: row.credit,
        shown=Shown.PRINT,
        caption="Credit: 0 is frozen, 1 is BP.",
        axis="credit: 0 is frozen, 1 is BP",
        reference="protocol.md#the-scores",
        optional=False,
    ),
    Column(
        name="feature_credit",
        heading="feature credit",
        meaning="The same with a converged head on the features of every run, BP's included.",
        value=lambda row: row.feature_credit,
        shown=Shown.PRINT,
        caption="Credit asks what the run achieved, feature credit what the hidden layers learned.",
        reference="protocol.md#the-scores",
    ),
    Column(
        name="gap_closed",
        heading="gap closed",
        meaning="(score - DFA) / (BP - DFA): 0 is DFA, 1 is BP.",
        value=lambda row: row.gap_closed,
        shown=Shown.PRINT,
        caption="Gap closed: 0 is DFA, 1 is BP.",
        reference="protocol.md#the-scores",
    ),
    Column(
        name="blocks_worth",
        heading="blocks' worth",
        meaning="How many of the last blocks BP must train to reach this score; inf if training all does not.",
        value=lambda row: row.blocks,
        shown=Shown.PRINT,
        caption="Blocks' worth: so many of the last blocks, trained by BP, reach the score.",
        reference="rules.md#controls",
    ),
    *WORD_COLUMNS,
    Column(
        name="step_ratio",
        heading="step ÷ BP",
        meaning="Time of a training step ÷ BP's, both measured in turns in one process.",
        value=lambda row: row.step_ratio,
        shown=Shown.PRINT,
        caption="Step: time of a training step, measured in turns with BP's in one process.",
        axis="time of a training step ÷ BP's",
        reference="protocol.md#the-costs",
        bp_is_1=True,
    ),
    Column(
        name="memory_ratio",
        heading="memory ÷ BP",
        meaning="Peak memory of training ÷ BP's.",
        value=lambda row: row.memory_ratio,
        shown=Shown.PRINT,
        caption="Memory: peak during training.",
        reference="protocol.md#the-costs",
        bp_is_1=True,
    ),
    Column(
        name="live_ratio",
        heading="tensors ÷ BP",
        meaning="Peak bytes of live tensors in a training step, above the weights ÷ BP's.",
        value=lambda row: row.cell.live_ratio,
        shown=Shown.PAGE,
        reference="protocol.md#the-costs",
        bp_is_1=True,
    ),
    Column(
        name="flops_ratio",
        heading="FLOPs ÷ BP",
        meaning="Counted FLOPs of a training step ÷ BP's, without the optimizer.",
        value=lambda row: row.cell.flops_ratio,
        shown=Shown.PAGE,
        axis="FLOPs of a training step ÷ BP's",
        reference="protocol.md#the-costs",
        bp_is_1=True,
    ),
    Column(
        name="bp_fraction",
        heading="BP fraction",
        meaning="Counted autograd passes through hidden blocks ÷ BP's: 1 is BP, 0 uses no backpropagation.",
        value=lambda row: row.cell.bp_fraction,
        format="z.3f",
        shown=Shown.PRINT,
        caption="BP fraction: counted autograd passes through hidden blocks, relative to BP's.",
        reference="protocol.md#the-costs",
        narrow="BP fract.",
    ),
    Column(
        name="forward_passes",
        heading="forwards",
        meaning="Forward passes of the network per training step, counted: 1 for a one-pass rule.",
        value=lambda row: row.cell.forward_passes,
        format="z.3g",
        shown=Shown.PAGE,
        reference="protocol.md#the-costs",
    ),
    Column(
        name="backward_passes",
        heading="backwards",
        meaning="Backward passes from the network's output per training step, counted.",
        value=lambda row: row.cell.backward_passes,
        format="z.3g",
        shown=Shown.PAGE,
        reference="protocol.md#the-costs",
    ),
    Column(
        name="transport",
        heading="weight transport",
        meaning="Measured: what the backward pass takes from the weights.",
        value=lambda row: row.cell.transport,
        kind=Kind.TEXT,
        shown=Shown.PAGE,
        reference="rules.md#weight-transport",
    ),
    Column(
        name="trials",
        heading="trials",
        meaning="Tuning trials behind the settings; 1: the suite's own, untuned. Empty for open settings.",
        value=lambda row: math.nan if row.cell.is_open else row.cell.trials,
        format=".0f",
        caption=_settings,
        reference="tuning.md",
    ),
    Column(
        name="hardware",
        heading="hardware",
        meaning="Hardware classes of the results.",
        value=lambda row: "; ".join(row.cell.hardware),
        kind=Kind.TEXT,
        caption=_hardware,
        reference="protocol.md#the-costs",
    ),
    Column(
        name="score_version",
        heading="score version",
        meaning="The version of the formulas in this table.",
        value=lambda row: SCORE_VERSION,
        format="d",
        caption=f"Scores: version {SCORE_VERSION}.",
        reference="protocol.md#score-versions",
        optional=False,
    ),
)
"""The columns of the results table, in the order of table.csv."""

OVERALL: tuple[Quantity, ...] = (
    Quantity(
        name="norm_acc",
        heading="norm acc, mean",
        meaning="Mean over tasks of the mean norm acc over seeds. In brackets, its 95 % bootstrap interval.",
        reference="protocol.md#over-several-tasks",
    ),
    Quantity(
        name="iqm",
        heading="interquartile mean",
        meaning="Mean of the middle half of all runs' norm acc. In brackets, its 95 % bootstrap interval.",
        reference="Agarwal et al. 2021",
    ),
    Quantity(
        name="rank",
        heading="rank",
        meaning="Rank by mean test score, averaged over tasks. It depends on which rules are in the table.",
        reference="protocol.md#over-several-tasks",
    ),
    Quantity(
        name="p",
        heading="p",
        meaning="p of the difference from BP: paired sign-flip test over all (task, seed).",
        format="z.4f",
        reference="protocol.md#the-best-row",
    ),
    Quantity(
        name="runs",
        heading="runs",
        meaning="Number of runs, over all tasks.",
        format="d",
        reference="protocol.md#over-several-tasks",
    ),
)
"""The columns of the table over all tasks, after the rule."""

CURVE: tuple[Quantity, ...] = (
    Quantity(name="samples", heading="samples", meaning="Training samples seen so far.", axis="training samples"),
    Quantity(name="seconds", heading="seconds", meaning="Seconds of training so far.", axis="seconds of training"),
    Quantity(name="epoch", heading="epoch", meaning="Epochs finished so far.", axis="epoch"),
)
"""What a learning curve can be drawn over."""

SAMPLES, _, EPOCH = CURVE

REACHED = Quantity(
    name="reached",
    heading="runs",
    meaning="Share of a rule's runs whose credit is at least a given value, averaged over tasks.",
    axis="runs that reach it (%)",
    reference="protocol.md#over-several-tasks",
)
"""The performance profile, over credit."""

COLUMN = {column.name: column for column in COLUMNS}
"""The results columns by name."""

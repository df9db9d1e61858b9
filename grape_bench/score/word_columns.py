"""The columns in words: a row against BP, DFA and the control, the verdict, and the p-values behind them."""

from __future__ import annotations

import math

import pandas as pd

from grape_bench.record.rule_name import FROZEN
from grape_bench.rules.catalog import checked
from grape_bench.score.inference import LEVEL
from grape_bench.score.quantity import Column, Kind, Shown
from grape_bench.score.references import MARGIN, REFERENCE_COLUMNS
from grape_bench.score.standing import TOO_FEW

SEE = "protocol.md#the-four-words"


def _explained(words: pd.Series) -> str:
    """What the four words mean. Every such column has the same caption, which is printed once."""
    return (
        f"Better, worse: the paired t-test finds a difference (Holm over the references of the row, {100 * LEVEL:g} %);"
        f" tied: the 90 % interval lies within the margin, {MARGIN:g} (BP - {FROZEN}) unless the suite sets another;"
        f" {TOO_FEW}: neither, with the seeds that would settle it in brackets."
        if (words != "").any()
        else ""
    )


def _control(names: pd.Series) -> str:
    used = set(names) - {""}
    if used == {FROZEN}:
        return f"Control: {FROZEN}, a converged head on untrained hidden layers."
    if not used:
        return f"No control is recorded (`{FROZEN}`), so there is no credit."
    return (
        f"The control {FROZEN} is not recorded, so there is no credit and no tie. The control here is head-only, whose"
        " head has the rule's few epochs: it is too easy to beat."
        if FROZEN not in used
        else f"The control {FROZEN} is not recorded on every task; head-only stands in for it, without credit or tie."
    )


def _margin(shares: pd.Series) -> str:
    return f'The suite sets the margin of "tied" to {shares.max():g} of BP - {FROZEN}.'


def _looks(counts: pd.Series) -> str:
    most = int(counts.max())
    return (
        f"Seeds were added until the words were settled, with at most {most} looks at the results: every p is"
        f" multiplied by {most}, and every one-sided level is divided by it."
    )


def _pair(name: str, called: str) -> tuple[Column, Column]:
    return (
        Column(
            name=f"vs_{name}",
            heading=f"vs {called.removeprefix('the ')}",
            meaning=f"The row against {called}: better, worse, tied, or n too small (with the seeds it would take).",
            value=lambda row: row.standing(name).text,
            kind=Kind.TEXT,
            shown=Shown.PRINT,
            caption=_explained,
            reference=SEE,
            wrap=len(TOO_FEW),
            word=True,
        ),
        Column(
            name=f"p_{name}",
            heading=f"p, {called.removeprefix('the ')}",
            meaning=f"p of the difference from {called}: paired t-test, Holm over the references of the row.",
            value=lambda row: row.standing(name).p,
            reference=SEE,
            beside=f"vs_{name}",
        ),
    )


WORD_COLUMNS: tuple[Column, ...] = (
    *(column for name, called in REFERENCE_COLUMNS.items() for column in _pair(name, called)),
    Column(
        name="control",
        heading="control",
        meaning=f"The control of the task: `{FROZEN}`, or head-only where that is not recorded.",
        value=lambda row: row.references.control.rule if row.references.control else "",
        kind=Kind.TEXT,
        caption=_control,
        reference="protocol.md#the-control",
        optional=False,
    ),
    Column(
        name="margin",
        heading="margin",
        meaning=f'The suite\'s margin of "tied", as a share of BP - {FROZEN}; empty if it is the default, {MARGIN:g}.',
        value=lambda row: row.references.margin if row.references.margin != MARGIN else math.nan,
        caption=_margin,
        reference=SEE,
    ),
    Column(
        name="looks",
        heading="looks",
        meaning="At most how many looks at the results decided the number of seeds; empty if it was fixed in advance.",
        value=lambda row: row.cell.looks if row.cell.looks > 1 else math.nan,
        format=".0f",
        caption=_looks,
        reference="protocol.md#seeds-until-it-is-settled",
    ),
    Column(
        name="verdict",
        heading="verdict",
        meaning="Whether the rule really trained the hidden layers.",
        value=lambda row: row.verdict,
        kind=Kind.TEXT,
        shown=Shown.PRINT,
        reference="protocol.md#the-verdict",
        wrap=len("activations"),
        word=True,
    ),
    Column(
        name="entrant",
        heading="entrant",
        meaning="Class of entrant, counted: one pass, extra passes, or its own optimizer.",
        value=lambda row: row.cell.entrant,
        kind=Kind.TEXT,
        shown=Shown.PRINT,
        reference="rule-book.md#classes-of-entrants",
        wrap=len("optimizer"),
        word=True,
    ),
    Column(
        name="checked",
        heading="checked",
        meaning="Who checked the code of the rule, against what, and when.",
        value=lambda row: checked(row.cell.rule),
        kind=Kind.TEXT,
        reference="rule-book.md#who-checked-a-rule",
        optional=False,
    ),
    Column(
        name="open_by",
        heading="open settings by",
        meaning="Who sent the open settings of the row; empty for any other row.",
        value=lambda row: row.cell.open_by,
        kind=Kind.TEXT,
        reference="tuning.md#open-settings",
    ),
    Column(
        name="p_best",
        heading="p",
        meaning="p of the difference from the best rule of the task: paired t-test, Holm over all pairs of rules.",
        value=lambda row: row.p_best,
        reference="protocol.md#the-best-row",
        of_table=True,
    ),
)

"""The verdict: did a rule train the hidden layers, and can its alignment be trusted?

Follows the 2026 audit of feedback-alignment evaluation: accuracy and alignment alone cannot answer this.
docs/protocol.md explains the thresholds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from grape_bench.record.parts import Diagnostics
from grape_bench.record.record import Record
from grape_bench.record.rule_name import FROZEN, HEAD_ONLY
from grape_bench.score.cell import Cell
from grape_bench.score.lead import FEW, Lead, lead
from grape_bench.score.references import References
from grape_bench.score.standing import TOO_FEW, margin

TRAINED = "trained"
NOT_ABOVE = "not above"  # followed by the name of the control
EXPLODING = "activations exploding"
NOT_MEASURABLE = "alignment not measurable"

GROWTH_LIMIT = 50.0
"""Largest allowed ratio of the sizes (root mean square) of two neighboring blocks' activations."""

GAIN_FLOOR = 1e-7
"""Smallest allowed norm of dL/dh ÷ norm of the error: about the smallest number that fp32 can add to 1."""


@dataclass(frozen=True)
class Verdict:
    """One of the five words above, or "" if there is none. `reasons` are phrases with numbers, the decisive first."""

    word: str
    reasons: tuple[str, ...]


def judge(cell: Cell, references: References) -> Verdict:
    """The verdict on the runs of a cell, compared with the control of the same task.

    A rule is `trained` if it is resolved to be above the control, and its activations and gradients can be trusted.
    A finding about activations or gradients counts if it holds for more than half of the runs.
    """
    control = references.control
    if cell.rule in (FROZEN, HEAD_ONLY) or not cell.results:
        return Verdict("", (f"{cell.rule} is a control" if cell.results else "no result",))
    found = lead(cell, control) if control else None
    comparison = _comparison(found, control)
    findings = [_shared(cell, EXPLODING, _exploding), _shared(cell, NOT_MEASURABLE, _at_the_floor)]
    decisive = [word for word, _ in findings if word]
    reasons = [reason for _, reason in sorted(findings, key=lambda found: not found[0]) if reason]
    if control and found and found.below(_limit(cell, references)):
        return Verdict(f"{NOT_ABOVE} {control.rule}", (comparison, *reasons))
    if decisive:
        return Verdict(decisive[0], (*reasons, comparison))
    if not found or not found.each:
        return Verdict("", (comparison, *reasons))
    if not found.above:
        return Verdict(TOO_FEW, (comparison, *reasons))
    if not any(_diagnostics(record) for record in cell.results):
        return Verdict("", ("its activations and gradients are unknown: it ran without diagnostics",))
    return Verdict(TRAINED, (comparison, *reasons))


def over_tasks(words: Iterable[str]) -> str:
    """The verdicts of a rule on its tasks as one text: `trained`, or `trained 4/5, not above frozen 1/5`."""
    counts = Counter(words)
    total = counts.total()
    found = [(word, count) for word, count in counts.most_common() if word]
    return ", ".join(word if count == total else f"{word} {count}/{total}" for word, count in found)


def _limit(cell: Cell, references: References) -> float:
    """The smallest lead over the control that matters: the margin of "tied", or 0 if there is none."""
    limit = margin(cell, references.control, references) if references.control else math.nan
    return max(0.0, limit) if math.isfinite(limit) else 0.0


def _comparison(found: Lead | None, control: Cell | None) -> str:
    if not found or not control or not found.each:
        return "there is no control (frozen or head-only) with the same task and seed"
    if found.n >= FEW:
        return f"{found.text} to {control.rule} ({found.n} seeds, paired, each side 95 %)"
    seeds = f"{found.n} seed{'s' if found.n > 1 else ''}"
    return f"{found.text} to {control.rule} ({seeds}), ± the sampling error of the test split"


def _shared(cell: Cell, word: str, find: Callable[[Diagnostics], tuple[bool, str]]) -> tuple[str, str]:
    """`word` if most runs have the finding, else ""; and the first bad run's text."""
    found = [find(diagnostics) for record in cell.results if (diagnostics := _diagnostics(record))]
    bad = [text for is_bad, text in found if is_bad]
    if not bad:
        return "", found[0][1] if len(found) == 1 else ""
    count = f" in {len(bad)} of {len(found)} runs" if len(found) > 1 else ""
    return (word if 2 * len(bad) > len(found) else ""), bad[0] + count


def _diagnostics(record: Record) -> Diagnostics | None:
    """The diagnostics of a run, or None if nothing was measured."""
    return record.diagnostics if record.diagnostics and record.diagnostics.moments else None


def _exploding(found: Diagnostics) -> tuple[bool, str]:
    growth = found.growth
    if growth is None:
        return True, "the activations are not finite"
    text = f"activations grow at most {growth:.3g}-fold from one block to the next (at {found.growth_block})"
    return growth > GROWTH_LIMIT, f"{text}; the limit is {GROWTH_LIMIT:g}" if growth > GROWTH_LIMIT else text


def _at_the_floor(found: Diagnostics) -> tuple[bool, str]:
    gain = found.gain
    if gain is None:
        return True, "the true gradient is zero or not finite"
    text = f"the smallest gradient is {gain:.2g} of the error (at {found.gain_block})"
    return gain < GAIN_FLOOR, f"{text}; the floor is {GAIN_FLOOR:g}" if gain < GAIN_FLOOR else text

"""Whether a run trained its hidden layers, and whether what was measured of it means anything.

After the audit of feedback-alignment evaluation of 2026: accuracy and alignment alone do not tell. The thresholds are
explained in docs/protocol.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from grape_bench.record.parts import Diagnostics
from grape_bench.record.record import Record
from grape_bench.score.cell import Cell
from grape_bench.score.interval import interval

TRAINED = "trained"
NOT_ABOVE = "not above head-only"
EXPLODING = "activations exploding"
NOT_MEASURABLE = "alignment not measurable"

GROWTH_LIMIT = 50.0
"""Largest ratio of the sizes of neighbouring blocks' activations."""

GAIN_FLOOR = 1e-7
"""Smallest norm of dL/dh ÷ norm of the error: about what fp32 can tell from zero next to one."""

CONFIDENT = 1.96
FEW = 3
"""Seeds from which an interval over them is taken."""


@dataclass(frozen=True)
class Verdict:
    """One of the four words, or "" where it cannot be told; `reasons` are sentences with the figures, the decisive
    one first.
    """

    word: str
    reasons: tuple[str, ...]


def judge(cell: Cell, head_only: Cell | None) -> Verdict:
    """The verdict on the runs of a cell, against head-only's of the same task.

    A run that beats head-only by what is resolved, and whose activations and gradients can be trusted, is trained.
    A finding about activations or gradients counts when it holds for more than half of the runs.
    """
    if cell.rule == "head-only" or not cell.results:
        return Verdict("", ("this is the control",) if cell.rule == "head-only" else ("no result",))
    above, comparison = _above(cell, head_only)
    findings = [_shared(cell, EXPLODING, _exploding), _shared(cell, NOT_MEASURABLE, _at_the_floor)]
    decisive = [word for word, _ in findings if word]
    reasons = [reason for _, reason in sorted(findings, key=lambda found: not found[0]) if reason]
    if above is False:
        return Verdict(NOT_ABOVE, (comparison, *reasons))
    if decisive:
        return Verdict(decisive[0], (*reasons, comparison))
    if above is None:
        return Verdict("", (comparison, *reasons))
    if not any(_diagnostics(record) for record in cell.results):
        return Verdict("", ("nothing is known of its activations and gradients: it ran without diagnostics",))
    return Verdict(TRAINED, (comparison, *reasons))


def _above(cell: Cell, head_only: Cell | None) -> tuple[bool | None, str]:
    """Whether the cell is above head-only, paired by seed, and not by a hair; None where there is nothing to pair."""
    own, other = cell.scores, head_only.scores if head_only else {}
    seeds = sorted(own.keys() & other.keys())
    if not seeds:
        return None, "no head-only run with the same task and seed to compare with"
    differences = [own[seed] - other[seed] for seed in seeds]
    errors = [_sampling_error(cell, own[seed], other[seed]) for seed in seeds]
    if len(seeds) >= FEW:
        found = interval(differences)
        # Seeds that agree do not make more of the test samples that all of them share.
        width = max(found.half_width, math.hypot(*errors) / len(errors))
        return found.mean > width, f"{found.mean:+.2f} ± {width:.2f} to head-only{_over(seeds)}"
    resolved = all(difference > error for difference, error in zip(differences, errors, strict=True))
    said = ", ".join(f"{a:+.2f} ± {b:.2f}" for a, b in zip(differences, errors, strict=True))
    return resolved, f"{said} to head-only{_over(seeds)}, the error that of the test samples"


def _over(seeds: list[int]) -> str:
    return f" (seed {seeds[0]})" if len(seeds) == 1 else f" ({len(seeds)} seeds, paired)"


def _sampling_error(cell: Cell, own: float, other: float) -> float:
    """Half the 95 % interval of the difference of two accuracies (percent) on the test samples; 0 for other metrics."""
    data = cell.results[0].data
    size = data.sizes.get("test") if data else None
    if cell.metric.name != "accuracy" or not size:
        return 0.0
    variance = sum(p * (100 - p) for p in (own, other)) / size
    return CONFIDENT * math.sqrt(max(0.0, variance))


def _shared(cell: Cell, word: str, find: Callable[[Diagnostics], tuple[bool, str]]) -> tuple[str, str]:
    """The word where most runs give the finding, and what the worst of them gives."""
    found = [find(diagnostics) for record in cell.results if (diagnostics := _diagnostics(record))]
    bad = [text for is_bad, text in found if is_bad]
    if not bad:
        return "", found[0][1] if len(found) == 1 else ""
    count = f" in {len(bad)} of {len(found)} runs" if len(found) > 1 else ""
    return (word if 2 * len(bad) > len(found) else ""), bad[0] + count


def _diagnostics(record: Record) -> Diagnostics | None:
    """None where nothing was measured."""
    return record.diagnostics if record.diagnostics and record.diagnostics.moments else None


def _exploding(found: Diagnostics) -> tuple[bool, str]:
    growth = found.growth
    if growth is None:
        return True, "the activations are not finite"
    text = f"activations grow at most {growth:.3g}-fold from block to block (at {found.growth_block})"
    return growth > GROWTH_LIMIT, f"{text}; the limit is {GROWTH_LIMIT:g}" if growth > GROWTH_LIMIT else text


def _at_the_floor(found: Diagnostics) -> tuple[bool, str]:
    gain = found.gain
    if gain is None:
        return True, "no gradient to compare with: it is zero or not finite"
    text = f"the smallest gradient is {gain:.2g} of the error (at {found.gain_block})"
    return gain < GAIN_FLOOR, f"{text}; the floor is {GAIN_FLOOR:g}" if gain < GAIN_FLOOR else text

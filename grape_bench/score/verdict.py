"""The verdict: did a rule train the hidden layers, and can its alignment be trusted?

Follows the 2026 audit of feedback-alignment evaluation: accuracy and alignment alone cannot answer this.
docs/protocol.md explains the thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from grape_bench.record.parts import Diagnostics
from grape_bench.record.record import Record
from grape_bench.score.cell import Cell
from grape_bench.score.inference import interval

TRAINED = "trained"
NOT_ABOVE = "not above head-only"
EXPLODING = "activations exploding"
NOT_MEASURABLE = "alignment not measurable"

GROWTH_LIMIT = 50.0
"""Largest allowed ratio of the sizes (root mean square) of two neighboring blocks' activations."""

GAIN_FLOOR = 1e-7
"""Smallest allowed norm of dL/dh ÷ norm of the error: about the smallest number that fp32 can add to 1."""

CONFIDENT = 1.96
FEW = 3
"""The fewest seeds from which an interval over seeds is computed."""


@dataclass(frozen=True)
class Verdict:
    """One of the four words above, or "" if there is none. `reasons` are phrases with numbers, the decisive first."""

    word: str
    reasons: tuple[str, ...]


def judge(cell: Cell, head_only: Cell | None) -> Verdict:
    """The verdict on the runs of a cell, compared with head-only on the same task.

    A rule is `trained` if it is significantly above head-only and its activations and gradients can be trusted.
    A finding about activations or gradients counts if it holds for more than half of the runs.
    """
    if cell.rule == "head-only" or not cell.results:
        return Verdict("", ("head-only is the control",) if cell.rule == "head-only" else ("no result",))
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
        return Verdict("", ("its activations and gradients are unknown: it ran without diagnostics",))
    return Verdict(TRAINED, (comparison, *reasons))


def _above(cell: Cell, head_only: Cell | None) -> tuple[bool | None, str]:
    """Is the cell significantly above head-only, paired by seed? None if the two share no seed. And the numbers."""
    own, other = cell.scores, head_only.scores if head_only else {}
    seeds = sorted(own.keys() & other.keys())
    if not seeds:
        return None, "there is no head-only run with the same task and seed"
    differences = [own[seed] - other[seed] for seed in seeds]
    errors = [_sampling_error(cell, head_only, seed) for seed in seeds]
    if len(seeds) >= FEW:
        found = interval(differences)
        # All seeds share the test samples: agreement between seeds does not shrink the sampling error.
        width = max(found.half_width, math.hypot(*errors) / len(errors))
        return found.mean > width, f"{found.mean:+.2f} ± {width:.2f} to head-only{_over(seeds)}"
    resolved = all(difference > error for difference, error in zip(differences, errors, strict=True))
    said = ", ".join(f"{a:+.2f} ± {b:.2f}" for a, b in zip(differences, errors, strict=True))
    return resolved, f"{said} to head-only{_over(seeds)}, ± the sampling error of the test split"


def _over(seeds: list[int]) -> str:
    return f" (seed {seeds[0]})" if len(seeds) == 1 else f" ({len(seeds)} seeds, paired)"


def _sampling_error(cell: Cell, head_only: Cell | None, seed: int) -> float:
    """Half-width of the 95 % interval of the difference of two scores due to the test samples; 0 if it is unknown."""
    data = cell.results[0].data
    size = data.sizes.get("test", 0) if data else 0
    return CONFIDENT * math.hypot(*(_standard_error(one, seed, size) for one in (cell, head_only) if one))


def _standard_error(cell: Cell, seed: int, size: int) -> float:
    """The standard error of a score due to the `size` test samples: the record's own, or else the metric's formula."""
    (record,) = (record for record in cell.results if record.seed == seed)
    if record.result and record.result.test_error is not None:
        return record.result.test_error
    return cell.metric.sampling_error(record.test, size) if size else 0.0


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

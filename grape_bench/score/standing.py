"""How a row compares with each reference: better, worse, tied, or too few seeds to say.

docs/protocol.md states how often each word is wrong, and `python -m benchmarks.verdicts` measures it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from grape_bench.score.cell import Cell, common_seeds, differences, looks_of
from grape_bench.score.inference import LEVEL, half_width, holm, mean, one_sided, over_looks, paired_t, variance
from grape_bench.score.power import seeds_needed, seeds_text
from grape_bench.score.references import References

BETTER, WORSE, TIED, TOO_FEW = "better", "worse", "tied", "n too small"


@dataclass(frozen=True)
class Standing:
    """A row compared with one reference. `word` is one of the four above, or "" if there is nothing to compare.

    `p` is Holm-adjusted over the references of the row. `needed` is the number of seeds that would settle it with 80 %
    power; None if it is settled, or if no spread is known.
    """

    word: str = ""
    p: float = math.nan
    needed: int | None = None

    @property
    def text(self) -> str:
        """The word, with the number of seeds that would settle it: "n too small (7)"."""
        return self.word if self.needed is None else f"{self.word} ({seeds_text(self.needed)})"


NOWHERE = Standing()


def standings(cell: Cell, references: References) -> dict[str, Standing]:
    """The standing of `cell` against "bp", "dfa" and "control". It depends on no other row of the table."""
    others = {name: other for name, other in references.named.items() if other.rule != cell.rule and cell.scores}
    tests = {
        name: over_looks(paired_t(differences(cell, other)), looks_of(cell, other)) for name, other in others.items()
    }
    adjusted = holm(tests)
    return {name: _standing(cell, other, references, adjusted[name], len(others)) for name, other in others.items()}


def _standing(cell: Cell, other: Cell, references: References, p: float, tests: int) -> Standing:
    found = differences(cell, other)
    if not found:
        return NOWHERE
    if p < LEVEL:
        return Standing(BETTER if mean(found) > 0 else WORSE, p)
    if tied(cell, other, references):
        return Standing(TIED, p)
    return Standing(TOO_FEW, p, seeds_to_settle(cell, other, references, tests))


def seeds_to_settle(cell: Cell, other: Cell, references: References, tests: int) -> int | None:
    """The number of seeds that would settle this pair with 80 % power, as one of `tests`; None without a spread."""
    found = differences(cell, other)
    spread = references.spread(variance(found), len(found) - 1)
    if math.isnan(spread):
        return None
    within, looks = margin(cell, other, references), looks_of(cell, other)
    # The estimate can be as small as the number of seeds that did not settle it, so require one more.
    return max(seeds_needed(mean(found), spread, within, tests=tests, looks=looks), len(found) + 1)


def margin(cell: Cell, other: Cell, references: References) -> float:
    """The margin of "tied" in units of the score, over the seeds in common. NaN without BP or `frozen`."""
    return references.margin * mean(_gaps(_seeds(cell, other, references), references))


def tied(cell: Cell, other: Cell, references: References) -> bool:
    """True if the whole 90 % interval of the difference lies within the margin.

    The margin is measured too: it is a share m of BP - frozen. So the two one-sided tests are made seed by seed, of
    difference - m (BP - frozen) < 0 and of difference + m (BP - frozen) > 0. Each is wrong in at most 5 % of tables.
    A rule with a diverged seed is never tied.
    """
    seeds = _seeds(cell, other, references)
    if len(seeds) < 2 or cell.diverged or other.diverged:
        return False
    found = [cell.scores[seed] - other.scores[seed] for seed in seeds]
    gaps = [references.margin * gap for gap in _gaps(seeds, references)]
    upper = [difference - gap for difference, gap in zip(found, gaps, strict=True)]
    lower = [difference + gap for difference, gap in zip(found, gaps, strict=True)]
    level = one_sided(looks_of(cell, other))
    return mean(upper) + half_width(upper, level) < 0 < mean(lower) - half_width(lower, level)


def _seeds(cell: Cell, other: Cell, references: References) -> list[int]:
    return common_seeds((cell, other, references.bp, references.frozen))


def _gaps(seeds: Sequence[int], references: References) -> list[float]:
    """BP - frozen in score, by seed. A tie with a weaker control would be too easy, so head-only gives no margin."""
    bp, frozen = references.bp, references.frozen
    return [bp.scores[seed] - frozen.scores[seed] for seed in seeds] if bp and frozen else []

"""Which rows differ from the best row of a table. This is the only comparison that depends on every entrant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from grape_bench.score.inference import LEVEL, holm, mean, over_looks, paired_t

MOST_NAMED = 12
"""The most rules that are named as not resolved."""


class Paired(NamedTuple):
    """The mean difference of two rules over the seeds that both have, and its p-value."""

    difference: float
    p: float

    @classmethod
    def of(cls, differences: Sequence[float], looks: int = 1) -> Paired:
        """The comparison by Student's paired t-test, corrected for the planned looks."""
        return cls(mean(differences), over_looks(paired_t(differences), looks))


@dataclass(frozen=True)
class Best:
    """The best rule, and `p` of every rule's distance below it, Holm-adjusted over all pairs of rules.

    The best rule has a p of 1, and so has a rule that is not below it on the seeds that both have.
    """

    rule: str
    p: Mapping[str, float]

    @property
    def resolved(self) -> list[str]:
        """The rules that are resolved to be below the best, in the order of the table."""
        return [rule for rule, p in self.p.items() if p < LEVEL]

    @property
    def unresolved(self) -> list[str]:
        """The other rules, without the best."""
        return [rule for rule, p in self.p.items() if rule != self.rule and not p < LEVEL]

    def text(self, names: Mapping[str, str]) -> str:
        """The line below a table: `best: bp; resolved below it: dfa, head-only; not resolved: fa`.

        More than `MOST_NAMED` rules that are not resolved are only counted: they are all that the line does not name.
        """
        parts = [f"best: {names[self.rule]}"]
        if self.resolved:
            parts.append(f"resolved below it: {', '.join(names[rule] for rule in self.resolved)}")
        if len(self.unresolved) > MOST_NAMED:
            parts.append(f"not resolved: the other {len(self.unresolved)}")
        elif self.unresolved:
            parts.append(f"not resolved: {', '.join(names[rule] for rule in self.unresolved)}")
        return "; ".join(parts)


def best(means: Mapping[str, float], compare: Callable[[str, str], Paired]) -> Best | None:
    """Compare every rule with the best one. `compare` returns first - second. None if there are fewer than two rules.

    The best rule is above most others, each time on the seeds that both have. If two are, the higher of the `means`
    decides. Where every rule has every seed, that is the rule with the highest mean. A rule that lacks a seed, however,
    may owe the highest mean to the missing one.

    Holm's correction counts all pairs of rules, not only those with the best. Which rule is best is read from the same
    runs, and the highest of many equal rules is high by luck. Over the pairs with the best alone, 8 to 10 % of tables
    of equal rules would declare a difference.
    """
    if len(means) < 2:
        return None
    found = {pair: compare(*pair) for pair in combinations(means, 2)}
    above = {pair: paired.difference > 0 for pair, paired in found.items()}
    above |= {(second, first): paired.difference < 0 for (first, second), paired in found.items()}
    wins = {rule: sum(above[rule, other] for other in means if other != rule) for rule in means}
    top = max(means, key=lambda rule: (wins[rule], means[rule], rule))
    adjusted = holm({frozenset(pair): paired.p for pair, paired in found.items()})
    return Best(
        top,
        {rule: 1.0 if rule == top or above[rule, top] else adjusted[frozenset((rule, top))] for rule in means},
    )

"""Zoutendijk's sum: how much descent the directions of a training were good for."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass
class RunningSum:
    """Over the steps k, the sum of cos^2(direction, gradient) · ||gradient||^2, which for a smooth loss and suitable
    step lengths is bounded (Nocedal and Wright 2006, theorem 3.2): where the cosine stays above zero the gradient must
    vanish, and where it does not the sum says nothing.

    Between the moments at which it is measured the term is taken to run straight.
    """

    total: float = 0.0
    step: int = 0
    term: float = math.nan

    def add(self, step: int, cosine: float, norm: float) -> float:
        """The sum up to `step`; a NaN cosine (a zero direction) adds nothing."""
        term = 0.0 if math.isnan(cosine) else (cosine * norm) ** 2
        before = term if math.isnan(self.term) else self.term
        self.total += (step - self.step) * (before + term) / 2
        self.step, self.term = step, term
        return self.total

    def state(self) -> dict[str, float]:
        """To go on from in another process."""
        return asdict(self)

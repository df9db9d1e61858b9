"""Backpropagation, the reference (Rumelhart, Hinton and Williams 1986)."""

from __future__ import annotations

from grape_bench.network.rule import LearningRule


class BP(LearningRule):
    """Exact gradients: dL/dh_l = J_l^T e for every block."""

    @property
    def cuts(self) -> bool:
        """False: every pass is the model's own."""
        return False

"""Feedback alignment (Lillicrap et al. 2016)."""

from __future__ import annotations

from grape_bench.rules.backward import BackwardFeedback


class FA(BackwardFeedback):
    """In each linear map's backward a fixed random B stands for W in the input gradient."""

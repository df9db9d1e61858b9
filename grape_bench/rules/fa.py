"""Feedback alignment (Lillicrap et al. 2016)."""

from __future__ import annotations

from grape_bench.rules.backward import BackwardFeedback


class FA(BackwardFeedback):
    """A fixed random B replaces W in the input gradient of every linear map."""

"""The control at zero: the best head on untrained blocks. A job fits it to convergence instead of training it."""

from __future__ import annotations

from grape_bench.rules.head_only import HeadOnly


class Frozen(HeadOnly):
    """The blocks stay at their initial weights, and the head is as good as they allow: see `job/converged_head.py`.

    It takes no settings. Outside of a job it gives the gradients of `head-only`.
    """

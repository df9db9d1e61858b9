"""The control: the best linear head on untrained blocks. A job fits the head to convergence instead of training it."""

from __future__ import annotations

from grape_bench.rules.head_only import HeadOnly


class Frozen(HeadOnly):
    """The blocks keep their initial weights, and the head is the best that they allow: see `job/converged_head.py`.

    It takes no settings. Outside a job it gives the gradients of `head-only`.
    """

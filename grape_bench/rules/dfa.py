"""Direct feedback alignment (Nøkland 2016; Launay et al. 2020)."""

from __future__ import annotations

from grape_bench.rules.direct import DirectFeedback


class DFA(DirectFeedback):
    """dL/dh_l := B_l^T e with B_l fixed and random."""

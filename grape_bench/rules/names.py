"""The names of the learning rules. Does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grape_bench.record.rule_name import FROZEN
from grape_bench.registry import Builtin, Registry

if TYPE_CHECKING:
    from grape_bench.network.rule import LearningRule

ANCHOR_NUMERICS = 1
"""Raise it when a change of `rules/anchored.py` changes results: all rules with anchors run again."""

FINISH_NUMERICS = 1
"""The same for the finish (`rules/finished.py`)."""

CUTS = ("cuts",)
"""`uses` of a rule that cuts the network, so that `network.NUMERICS` counts for it.

A rule that does not ship with the package always counts it, because planning does not import the rule to find out.
"""

# How often GrAPE refreshes its feedback. The paper refreshes at every mini-batch. Before numerics 2, `grape` meant
# every eighth. That variant is now called `grape-lazy`.
EVERY_STEP = {"refresh": 1}
EVERY_EIGHTH = {"refresh": 8}

LADDER = (1, 2, 3, 4, 6, 8)
"""The named rungs of the depth ladder: BP trains the last 1, 2, 3 ... blocks."""


def _last(count: int) -> Builtin:
    """The rung of the ladder with `count` trained blocks."""
    target = "grape_bench.rules.last_blocks:LastBlocks"
    return Builtin(target, source="253b985c1bf6fff6", uses=CUTS, defaults={"blocks": count})


RULES: Registry[type[LearningRule]] = Registry(
    "rule",
    {
        "bp": Builtin("grape_bench.rules.bp:BP", source="ad1effa079d6564d"),
        "fa": Builtin("grape_bench.rules.fa:FA", numerics=2, source="30548f8061a8a02a"),
        "usf": Builtin("grape_bench.rules.usf:USF", numerics=2, source="b2498e3b2e78fde9"),
        "brsf": Builtin("grape_bench.rules.brsf:BrSF", numerics=2, source="e8f55856354c242f"),
        "frsf": Builtin("grape_bench.rules.frsf:FrSF", numerics=2, source="7f86971afe06b827"),
        "kp": Builtin("grape_bench.rules.kp:KP", numerics=2, source="3eb32719074c85f8"),
        "wm": Builtin("grape_bench.rules.wm:WM", numerics=2, source="3b8e87c4098ade0d"),
        "dfa": Builtin("grape_bench.rules.dfa:DFA", source="7a6975e7e5fa2c00", uses=CUTS),
        "drtp": Builtin("grape_bench.rules.drtp:DRTP", numerics=2, source="9f0cd175a1102ade", uses=CUTS),
        "grape": Builtin(
            "grape_bench.rules.grape:GrAPE",
            numerics=2,
            source="31a9522b3a82917f",
            uses=CUTS,
            defaults=EVERY_STEP,
        ),
        "grape+refit": Builtin(
            "grape_bench.rules.refit:GrAPERefit",
            numerics=2,
            source="f589f4bb1a1953b9",
            uses=CUTS,
            defaults=EVERY_STEP,
        ),
        "grape-quarter": Builtin(
            "grape_bench.rules.grape:GrAPE",
            source="4517a608f720100f",
            uses=CUTS,
            defaults={**EVERY_STEP, "fraction": 0.25},
        ),
        "grape-lazy": Builtin(
            "grape_bench.rules.grape:GrAPE", source="031ec833eba3f5a7", uses=CUTS, defaults=EVERY_EIGHTH
        ),
        "grape-lazy+refit": Builtin(
            "grape_bench.rules.refit:GrAPERefit", source="726dbebf914524db", uses=CUTS, defaults=EVERY_EIGHTH
        ),
        "fg": Builtin("grape_bench.rules.fg:FG", source="9506dc18b6362730", uses=CUTS),
        "local": Builtin("grape_bench.rules.local:Local", numerics=2, source="26279d8d22869b57", uses=CUTS),
        "fdfa": Builtin("grape_bench.rules.fdfa:FDFA", source="a3afdff48d7023a4", uses=CUTS),
        "dkp": Builtin("grape_bench.rules.dkp:DKP", source="97e298bce02a6c88", uses=CUTS),
        "predsim": Builtin("grape_bench.rules.predsim:PredSim", numerics=2, source="30c25f9f62bafbec", uses=CUTS),
        "dgl": Builtin("grape_bench.rules.dgl:DGL", numerics=2, source="83fa70bf625e93c8", uses=CUTS),
        "dni": Builtin("grape_bench.rules.synthetic:SyntheticGradients", source="bbea630a22354ac2", uses=CUTS),
        "ff": Builtin("grape_bench.rules.forward_forward:ForwardForward", source="efa950978a238c9a", uses=CUTS),
        "spsa": Builtin("grape_bench.rules.spsa:SPSA", numerics=2, source="f7c81295d08637d5", uses=CUTS),
        "ebd": Builtin("grape_bench.rules.ebd:EBD", source="f33d30065edf6300", uses=CUTS),
        "mono-forward": Builtin(
            "grape_bench.rules.mono_forward:MonoForward", numerics=2, source="a159f9e2094b79f6", uses=CUTS
        ),
        "pfa": Builtin("grape_bench.rules.pfa:PFA", source="1d27fb5f6ff68f5f"),
        "bp-sampled": Builtin("grape_bench.rules.bp_sampled:BPSampled", numerics=2, source="17c9f83091e15770"),
        "bp-lowrank": Builtin("grape_bench.rules.bp_lowrank:BPLowRank", source="315f338401e35f61", uses=CUTS),
        "bp-window": Builtin("grape_bench.rules.bp_window:BPWindow", numerics=2, source="c951fb00c43f616c"),
        "fg-weights": Builtin(
            "grape_bench.rules.fg_weights:FGWeights", numerics=2, source="276f626b06603030", uses=CUTS
        ),
        "fg-local": Builtin("grape_bench.rules.fg_local:FGLocal", numerics=2, source="01a728815cfbedb4", uses=CUTS),
        "eprop": Builtin("grape_bench.rules.eprop:EProp", source="56256ccd4ee26f59", uses=CUTS),
        "rflo": Builtin("grape_bench.rules.rflo:RFLO", source="12b242124181f212", uses=CUTS),
        "dfa-time": Builtin("grape_bench.rules.dfa_time:DFATime", source="8651cc18689f90fe", uses=CUTS),
        "dfa-gnn": Builtin("grape_bench.rules.dfa_gnn:DFAGNN", source="3b5ca8e2b95e4d9b", uses=CUTS),
        "pepita": Builtin("grape_bench.rules.pepita:PEPITA", source="ac6958946426bc13", uses=CUTS),
        "dtp": Builtin("grape_bench.rules.target_propagation:TargetPropagation", source="428a6a781c313320", uses=CUTS),
        "pc": Builtin(
            "grape_bench.rules.predictive_coding:PredictiveCoding", numerics=2, source="f26da88f038f49bc", uses=CUTS
        ),
        "ep": Builtin("grape_bench.rules.equilibrium:EquilibriumPropagation", source="793ee858bc69ca48", uses=CUTS),
        "head-only": Builtin("grape_bench.rules.head_only:HeadOnly", source="0e32efad8f58020a", uses=CUTS),
        FROZEN: Builtin("grape_bench.rules.frozen:Frozen", source="6b27836a5a582351", uses=CUTS),
        "norms-only": Builtin("grape_bench.rules.norms_only:NormsOnly", source="363ccabcca4d8fb6", uses=CUTS),
        **{f"last-{count}": _last(count) for count in LADDER},
    },
    group="grape_bench.rules",
)
"""The rules. Raise `numerics` of each rule whose numbers change, even if the change is in a base class.

`source` never changes, because ids contained it before there was `numerics`. A changed default goes into `defaults`, as
in `defaults={"refresh": 4}`, and then no integer needs to be raised. A variant of a rule is a second name for its class
with other `defaults`, such as `grape-lazy`.
"""

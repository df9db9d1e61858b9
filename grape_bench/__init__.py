"""grape-bench: attach learning rules other than backpropagation to any model, and compare them fairly."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grape_bench.attachment import attach
    from grape_bench.cli.python_api import run
    from grape_bench.diagnose.alignment import alignment
    from grape_bench.errors import DoesNotApplyError, UserError
    from grape_bench.network.block import Block
    from grape_bench.network.lean import lean_step
    from grape_bench.network.network import Network
    from grape_bench.network.passes import CutPass, HeadPass, LocalPass, Pass
    from grape_bench.network.phases import FirstPhase
    from grape_bench.network.reach import Credit
    from grape_bench.network.rule import Kept, LearningRule
    from grape_bench.network.trace import Batch
    from grape_bench.objectives.make import make_objective, register_objective
    from grape_bench.objectives.objective import Objective
    from grape_bench.report.result_table import ResultTable
    from grape_bench.rules.anchored import Anchored
    from grape_bench.rules.backward import BackwardFeedback
    from grape_bench.rules.direct import DirectFeedback
    from grape_bench.rules.feedback import FeedbackMap
    from grape_bench.rules.finished import Finished
    from grape_bench.rules.forward_gradient import ForwardGradient
    from grape_bench.rules.local_loss import LocalLoss
    from grape_bench.rules.make import make_rule, register_rule
    from grape_bench.rules.two_phase import TwoPhase
    from grape_bench.score.load import load
    from grape_bench.track.store import Store, Sweep

__all__ = [
    "Anchored",
    "BackwardFeedback",
    "Batch",
    "Block",
    "Credit",
    "CutPass",
    "DirectFeedback",
    "DoesNotApplyError",
    "FeedbackMap",
    "Finished",
    "FirstPhase",
    "ForwardGradient",
    "HeadPass",
    "Kept",
    "LearningRule",
    "LocalLoss",
    "LocalPass",
    "Network",
    "Objective",
    "Pass",
    "ResultTable",
    "Store",
    "Sweep",
    "TwoPhase",
    "UserError",
    "alignment",
    "attach",
    "lean_step",
    "load",
    "make_objective",
    "make_rule",
    "register_objective",
    "register_rule",
    "run",
]

_HOME = {
    "Anchored": "rules.anchored",
    "BackwardFeedback": "rules.backward",
    "Batch": "network.trace",
    "Block": "network.block",
    "Credit": "network.reach",
    "CutPass": "network.passes",
    "DirectFeedback": "rules.direct",
    "DoesNotApplyError": "errors",
    "FeedbackMap": "rules.feedback",
    "Finished": "rules.finished",
    "FirstPhase": "network.phases",
    "ForwardGradient": "rules.forward_gradient",
    "HeadPass": "network.passes",
    "Kept": "network.rule",
    "LearningRule": "network.rule",
    "LocalLoss": "rules.local_loss",
    "LocalPass": "network.passes",
    "Network": "network.network",
    "Objective": "objectives.objective",
    "Pass": "network.passes",
    "ResultTable": "report.result_table",
    "Store": "track.store",
    "Sweep": "track.store",
    "TwoPhase": "rules.two_phase",
    "UserError": "errors",
    "alignment": "diagnose.alignment",
    "attach": "attachment",
    "lean_step": "network.lean",
    "load": "score.load",
    "make_objective": "objectives.make",
    "make_rule": "rules.make",
    "register_objective": "objectives.make",
    "register_rule": "rules.make",
    "run": "cli.python_api",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `import grape_bench` imports no torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__

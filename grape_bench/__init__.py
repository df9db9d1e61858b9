"""grape-bench: learning rules beside backpropagation, attached to any model and compared fairly."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grape_bench.attachment import attach
    from grape_bench.errors import UserError
    from grape_bench.network.block import Block
    from grape_bench.network.network import Network
    from grape_bench.network.rule import LearningRule
    from grape_bench.rules.anchored import Anchored
    from grape_bench.rules.backward import BackwardFeedback
    from grape_bench.rules.direct import DirectFeedback
    from grape_bench.rules.forward_gradient import ForwardGradient
    from grape_bench.rules.local_loss import LocalLoss
    from grape_bench.rules.make import make_rule, register_rule

__all__ = [
    "Anchored",
    "BackwardFeedback",
    "Block",
    "DirectFeedback",
    "ForwardGradient",
    "LearningRule",
    "LocalLoss",
    "Network",
    "UserError",
    "attach",
    "make_rule",
    "register_rule",
]

_HOME = {
    "Anchored": "rules.anchored",
    "BackwardFeedback": "rules.backward",
    "Block": "network.block",
    "DirectFeedback": "rules.direct",
    "ForwardGradient": "rules.forward_gradient",
    "LearningRule": "network.rule",
    "LocalLoss": "rules.local_loss",
    "Network": "network.network",
    "UserError": "errors",
    "attach": "attachment",
    "make_rule": "rules.make",
    "register_rule": "rules.make",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: importing the package imports no torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__

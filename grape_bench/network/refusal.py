"""The errors for a network that cannot be cut: what is wrong, and how to fix it."""

from __future__ import annotations

from torch import nn

from grape_bench.errors import UserError
from grape_bench.network.graph import parameters_reached
from grape_bench.network.recorder import module_has_weights
from grape_bench.network.trace import Trace


def unread(model: nn.Module) -> UserError:
    """The error for an output that depends on no tensor of the example."""
    return UserError(
        f"the output of {type(model).__name__} depends on no tensor of the example",
        allowed="an example that is a tensor, or a tuple, list or dict that holds tensors",
        hint="wrap the model in a module that takes the tensors of the object, such as x and edge_index",
    )


def headless(model: nn.Module, names: list[str]) -> UserError:
    """The error for cuts at the modules `names` with no weights above the last one."""
    return UserError(
        f"{type(model).__name__} has no weights between the cut at {_listed(names[-1:])} and its output",
        allowed="blocks below the last module with weights, which gets the true gradient",
        hint="leave the last layer out of blocks=[...]",
    )


def uncut(model: nn.Module, around: list[str], clean: list[str], trace: Trace) -> UserError:
    """The error for cuts that the output's gradient bypasses (`around`), or for a model without good cuts."""
    several = [name for name, module in model.named_modules() if trace.turns[name] > 1 and module_has_weights(module)]
    weights = {id(p) for p in model.parameters() if p.dim() > 1}
    if weights and weights <= parameters_reached(trace.tops, {call.node for call in trace.entered}):
        problem = f"{type(model).__name__} has one layer with weights, so there is nothing to cut below it"
    elif around:
        problem = (
            f"{type(model).__name__} cannot be cut at {_listed(around)}: the output's gradient would bypass it "
            "(through a skip connection or a parallel branch)"
        )
    elif several:
        problem = (
            f"{type(model).__name__} calls {_listed(several)} several times per forward, and no layer separates most "
            "of its weights from the output"
        )
    else:
        problem = (
            f"{type(model).__name__} has no repeated modules that separate most of its weights from the output: the "
            "gradient bypasses them (through a skip connection or a parallel branch)"
        )
    fused = [name for name, module in model.named_modules() if isinstance(module, nn.RNNBase) and module.num_layers > 1]
    hint = (
        "choose modules by name with blocks=['layers.*'] (--blocks 'layers.*' on the command line), and include "
        "all parallel branches, so that they are cut together"
    )
    if fused:
        hint = f"{_listed(fused)} is one block; write its layers as separate modules with num_layers=1"
    elif several:
        hint = "cuts='time' cuts between the calls of a module"
    allowed = f"modules that all earlier activations flow through: {_listed(clean) or 'there are none'}"
    return UserError(problem, allowed=allowed, hint=hint)


def require_classes(rule: str, several: bool, outputs: int) -> None:
    """Raise UserError unless the network has one output with several scores. Otherwise no class can be the right one.

    `several` means several outputs, and `outputs` is the number of scores per position.
    """
    if several:
        raise UserError(
            f"{rule} reads classes, but the network has several outputs",
            allowed="one output of classes",
            hint="attach(..., output=0) chooses the output whose error is used",
        )
    if outputs == 1:
        raise UserError(
            f"{rule} reads classes, but the network has one output per position",
            allowed="networks with a score for each of two or more classes",
            hint="for a regression, use a rule that reads the error, such as dfa",
        )


def uninformed(rule: str, what: str) -> UserError:
    """The error for a rule that needs the loss or the target, if the step provided neither."""
    return UserError(
        f"{rule} needs the {what} before the backward",
        hint="net.step(batch, loss_of, target), or `with net.informed(loss_of, target):` around forward and backward",
    )


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

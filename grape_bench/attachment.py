"""Attach a learning rule to an unmodified model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DistributedDataParallel

from grape_bench.errors import UserError
from grape_bench.network.find import find_blocks
from grape_bench.network.layer_drop import all_layers_present
from grape_bench.network.lazy import build_lazy, refuse_scripted
from grape_bench.network.network import Network
from grape_bench.network.preserve import refuse_hidden_state, remember_written
from grape_bench.network.rule import LearningRule
from grape_bench.network.sites import Cuts
from grape_bench.network.trace import Batch, Choice, Trace, as_batch, trace
from grape_bench.rules.make import make_rule


def attach(
    model: nn.Module,
    rule: str | LearningRule,
    example: Any,
    *,
    seed: int = 0,
    blocks: Sequence[str] = (),
    granularity: str = "block",
    cuts: Cuts = "depth",
    axis: int | None = None,
    output: int | str | None = None,
) -> Network:
    """Make `rule` compute the gradients of `model`. The model's code, parameters and outputs do not change.

    `example` is a small batch: a tensor, a tuple of positional arguments, or a dict of keyword arguments. One forward
    pass on it finds the blocks. `model` may be compiled or wrapped in DistributedDataParallel.

    `blocks` (patterns of module names) overrides the search. `granularity="layer"` also cuts inside the blocks. `cuts`
    applies to modules that are called several times: "depth", "time" or "both", see `find_blocks`. `axis` is the axis
    of the outputs (classes). `output` is the index, key or attribute of the output whose error the rule reads. `seed`
    seeds the rule's random streams.

    Raises UserError if the rule is unknown, or if the model cannot be cut, is on the device mps, has complex parameters
    or already has a rule.
    """
    given, model = model, unwrapped(model)
    _refuse_mps(model)
    if attached(model) is not None:
        raise UserError(f"{type(model).__name__} already has a learning rule", hint="net.detach() first")
    chosen = make_rule(rule) if isinstance(rule, str) else rule
    _refuse_complex(model, chosen)
    traced = _traced(model, as_batch(example), output, axis)
    try:
        found = find_blocks(model, traced, blocks, granularity, cuts)
    except UserError:
        if chosen.cuts or blocks:
            raise
        found = []  # backpropagation and feedback alignment need no cuts
    if found:
        _ = traced.view  # raises UserError if the error has no layout for this output
    if chosen.cuts:
        traced.refuse_logarithm()
    network = Network(model, chosen, traced, found, seed)
    if network.owned and isinstance(given, DistributedDataParallel):
        network.detach()
        raise UserError(
            f"{type(chosen).__name__} owns parameters, whose gradients DistributedDataParallel would not average",
            hint="attach the rule to the model without DistributedDataParallel, and average net.parameters() yourself",
        )
    return network


def _refuse_mps(model: nn.Module) -> None:
    if any(parameter.device.type == "mps" for parameter in model.parameters()):
        what = "the device mps is not supported, because PyTorch gives it no float64"
        raise UserError(what, where=type(model).__name__, hint='model.to("cpu")')


def _refuse_complex(model: nn.Module, rule: LearningRule) -> None:
    """Raise UserError for complex parameters, unless each pass of the rule is plain backpropagation."""
    if type(rule).open_pass is not LearningRule.open_pass:
        name = next((name for name, parameter in model.named_parameters() if parameter.is_complex()), "")
        if name:
            what = f"{name!r} is complex, and {type(rule).__name__} is defined for real numbers"
            hint = "hold the real and the imaginary part in two parameters, and join them with torch.complex"
            raise UserError(what, where=type(model).__name__, hint=hint)


def _traced(model: nn.Module, batch: Batch, output: Choice, axis: int | None) -> Trace:
    """Record a forward pass with all layers present. Raises UserError if the model's state cannot be restored."""
    refuse_scripted(model)
    build_lazy(model, batch)
    remember_written(model, batch)
    refuse_hidden_state(model, batch)
    with all_layers_present(model, batch):
        return trace(model, batch, output, axis)


def attached(model: nn.Module) -> Network | None:
    """The network that `attach` made from `model`, or None if no rule is attached."""
    owners = (getattr(hook, "__self__", None) for hook in unwrapped(model)._forward_pre_hooks.values())
    return next((owner for owner in owners if isinstance(owner, Network)), None)


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's own module, without the `torch.compile` and `DistributedDataParallel` wrappers. Both run its hooks."""
    while True:
        if isinstance(model, OptimizedModule):
            model = model._orig_mod
        elif isinstance(model, DistributedDataParallel):
            model = model.module
        else:
            return model

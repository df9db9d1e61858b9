"""Special modules at attach: lazy modules are built, and scripted ones are refused."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from grape_bench.errors import UserError
from grape_bench.network.modes import evaluation
from grape_bench.network.preserve import Batch, fits


def refuse_scripted(model: nn.Module) -> None:
    """Raise UserError for TorchScript, whose code runs no hooks and hides its weights."""
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            what = f"module {name!r} of {type(model).__name__}" if name else "the model"
            raise UserError(
                f"{what} is TorchScript, and a learning rule cannot see inside it",
                allowed="Python modules, compiled or not",
                hint="attach before torch.jit.script and torch.jit.trace, or use torch.compile",
            )


@torch.no_grad()
def build_lazy(model: nn.Module, batch: Batch) -> None:
    """Make lazy modules create their parameters and buffers from the shapes of `batch`.

    The forward runs in evaluation mode, so BatchNorm statistics keep their initial values. The random state is
    restored, so the weights depend only on the random state at the call. Raises UserError for a module that stays lazy.
    """
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        args, kwargs = batch
        devices = sorted({t.device.index or 0 for t in model.parameters() if t.device.type == "cuda"})
        with fits(model), evaluation(model), torch.random.fork_rng(devices=devices):
            model(*args, **kwargs)
        tensors = (*model.named_parameters(), *model.named_buffers())
        if unused := [name for name, tensor in tensors if is_lazy(tensor)]:
            what = f"the forward does not use {unused[0]!r} of a lazy module, so it has no shape"
            raise UserError(what, hint="remove this module from the model")

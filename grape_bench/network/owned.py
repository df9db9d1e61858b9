"""Parameters that belong to a rule: modules at the blocks, which the optimizer trains along with the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Place(Protocol):
    """A place that can own a module: a block."""

    @property
    def name(self) -> str:
        """The block's name."""

    @property
    def device(self) -> torch.device:
        """The device of its tensors."""


class OwnedModules:
    """The modules that a rule owns, by block and name, and the optimizer's settings for each.

    They are stored outside the model, because a `Sequential` would call a module that is registered in it. So the
    model's own `parameters()` and `state_dict` keep their names.
    """

    # Example: block.own(nn.Linear(256, 10), lr=1e-2) at the blocks "h1" and "h2" gives the parameters
    #   "h1/own.weight", "h1/own.bias", "h2/own.weight", "h2/own.bias", all in one optimizer group with lr = 1e-2

    def __init__(self) -> None:
        self._modules: dict[tuple[str, str], nn.Module] = {}
        self._settings: dict[tuple[str, str], dict[str, Any]] = {}
        self._homes: dict[tuple[str, str], Place] = {}

    def __bool__(self) -> bool:
        return bool(self._modules)

    def add(self, block: Place, module: nn.Module, name: str, settings: dict[str, Any]) -> nn.Module:
        """Register `module` at `block` under `name`. Raises ValueError if the name is taken."""
        key = block.name, name
        if key in self._modules:
            raise ValueError(f"block {block.name!r} already owns a module named {name!r}")
        self._modules[key] = module
        self._settings[key], self._homes[key] = settings, block
        return module

    def find(self, block: Place, name: str) -> nn.Module:
        """The module at `block` under `name`. Raises KeyError if there is none."""
        return self._modules[block.name, name]

    def modules(self) -> list[nn.Module]:
        """All modules."""
        return list(self._modules.values())

    def parameters(self, block: Place | None = None) -> list[nn.Parameter]:
        """The parameters at `block`, or at all blocks."""
        if not self._modules:
            return []
        chosen = [key for key in self._modules if block is None or key[0] == block.name]
        return [parameter for key in chosen for parameter in self._modules[key].parameters()]

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """("block/name.parameter", parameter) for each parameter."""
        for (block, name), module in self._modules.items():
            for parameter, value in module.named_parameters():
                yield f"{block}/{name}.{parameter}", value

    def groups(self) -> list[dict[str, Any]]:
        """The optimizer's parameter groups. Modules with the same settings share one."""
        groups: list[dict[str, Any]] = []
        for key, module in self._modules.items():
            settings = self._settings[key]
            group = next((one for one in groups if {**one, "params": None} == {**settings, "params": None}), None)
            if group is None:
                groups.append(group := {"params": [], **settings})
            group["params"] += list(module.parameters())
        return groups

    def follow(self) -> None:
        """Move each module to its block's device, in case the model was moved."""
        for key, module in self._modules.items():
            device = self._homes[key].device
            if any(tensor.device != device for tensor in module.parameters()):
                module.to(device)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """The `state_dict` of each module, by "block/name"."""
        return {"/".join(key): module.state_dict() for key, module in self._modules.items()}

    def load(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Load what `state` returned. Raises KeyError if a module is missing."""
        for key, module in self._modules.items():
            module.load_state_dict(state["/".join(key)])


@contextmanager
def collected(parameters: Sequence[nn.Parameter]) -> Iterator[list[Tensor | None]]:
    """Collect what `backward()` adds to the `.grad` of `parameters`. The list is filled at the end of the block.

    The previous gradients are then restored, so autograd can deliver the collected ones like any others.
    """
    before = [parameter.grad for parameter in parameters]
    gradients: list[Tensor | None] = []
    for parameter in parameters:
        parameter.grad = None
    try:
        yield gradients
        gradients += [parameter.grad for parameter in parameters]
    finally:
        for parameter, gradient in zip(parameters, before, strict=True):
            parameter.grad = gradient

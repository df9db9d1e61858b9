"""Weights that a module computes from its parameters: weight standardisation, weight norm, parametrizations."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

Place = tuple[nn.Module, int]
"""The module within whose forward a linear map is made, and the number of those before it, of weights that are
no parameters, in the same call."""


class Places:
    """Tells linear maps of weights that are no parameters apart by where they are made.

    Such a weight is another tensor in every forward, so it cannot be known by itself. A module that is called twice
    makes them at the same places.
    """

    def __init__(self) -> None:
        self._at_work: list[list[Any]] = []

    def watch(self, module: nn.Module) -> list[Any]:
        """The handles of hooks on `module` that keep count."""
        return [
            module.register_forward_pre_hook(self._enter),
            module.register_forward_hook(self._leave, always_call=True),
        ]

    def next(self) -> Place | None:
        """Where a linear map is being made; None outside of the watched modules."""
        if not self._at_work:
            return None
        module, count = self._at_work[-1]
        self._at_work[-1][1] += 1
        return module, count

    @torch.compiler.disable
    def _enter(self, module: nn.Module, _: Any) -> None:
        self._at_work.append([module, 0])

    @torch.compiler.disable
    def _leave(self, *_: Any) -> None:
        if self._at_work:
            self._at_work.pop()

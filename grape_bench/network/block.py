"""A block: a module whose output is a point where credit can be assigned."""

from __future__ import annotations

from dataclasses import dataclass, field
from dataclasses import replace as dataclass_replace
from itertools import chain

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError

PREFIX = "grape_bench_"  # of the buffers that a rule keeps on a user's modules


@dataclass(frozen=True, eq=False)
class Block:
    """The module `name`, whose output (N, *shape) is cut.

    Where a module hands on several activations, each that is cut is a block; beyond the first their names end in
    `[index]`, their number among the output's floating-point tensors.
    While a rule computes a signal, `output` is the activation of the pass at hand.
    """

    name: str
    module: nn.Module = field(repr=False)
    shape: tuple[int, ...]
    index: int = 0
    _computed: Tensor | None = field(default=None, repr=False)
    _version: int = field(default=0, repr=False)

    @property
    def size(self) -> int:
        """Numbers per sample, n_l."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    def at(self, output: Tensor) -> Block:
        """This block in a pass in which it computed `output`."""
        return dataclass_replace(self, _computed=output, _version=output._version)

    @property
    def output(self) -> Tensor:
        """The activation (N, *shape); raises UserError where the model has overwritten it since."""
        if self._at_hand._version != self._version:
            raise UserError(
                f"the model overwrites the output of block {self.name!r} in place, and the rule reads it",
                hint="inplace=False for the activation that follows, or block.output_shape if the shape is enough",
            )
        return self._at_hand

    @property
    def output_shape(self) -> torch.Size:
        """(N, *shape), which for sequences may differ from pass to pass."""
        return self._at_hand.shape

    @property
    def _at_hand(self) -> Tensor:
        if self._computed is None:
            raise RuntimeError("a block has an output only while its signal is computed")
        return self._computed

    def store(self, name: str, value: Tensor) -> None:
        """Keep `value` as a buffer of the module, so that it moves, saves and copies with the model."""
        self.module.register_buffer(self._buffer(name), value)

    def load(self, name: str) -> Tensor:
        """What `store` kept under `name`."""
        return self.module.get_buffer(self._buffer(name))

    def _buffer(self, name: str) -> str:
        return f"{PREFIX}{name}{self.index or ''}"


def remove_stored(model: nn.Module) -> None:
    """Delete every buffer that rules keep on the modules of `model`."""
    for module in model.modules():
        for name in [name for name in module._buffers if name.startswith(PREFIX)]:
            delattr(module, name)


def own_buffers(model: nn.Module) -> list[Tensor]:
    """The model's own buffers: those that no rule put there."""
    return [
        buffer
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and not name.startswith(PREFIX)
    ]


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, a rule's and those that `state_dict` leaves out too."""
    return dict(chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)))


@torch.no_grad()
def load_tensors(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Write `tensors`, of `tensors_of`, into `model`; raises KeyError where the names differ.

    What a rule stores only in the course of training need not be there yet.
    """
    own = tensors_of(model)
    for name, value in tensors.items():
        if name in own and own[name].shape == value.shape:
            own.pop(name).copy_(value)
        elif PREFIX in name:
            module, _, buffer = name.rpartition(".")
            model.get_submodule(module).register_buffer(buffer, value.to(next(model.parameters()).device))
            own.pop(name, None)
        else:
            raise KeyError(name)
    if own:
        raise KeyError(*own)

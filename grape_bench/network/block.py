"""A block: a part of a network whose output activation can receive a signal."""

from __future__ import annotations

from dataclasses import dataclass, field
from dataclasses import replace as dataclass_replace
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from grape_bench.errors import UserError
from grape_bench.network.owned import OwnedModules

PREFIX = "grape_bench_"  # prefix of the buffers that a rule stores on a user's modules


class Home(Protocol):
    """What a block needs from its network."""

    batch: tuple[tuple[Any, ...], dict[str, Any]] | None
    owned: OwnedModules
    loss_scale: float | Tensor

    @property
    def device(self) -> torch.device:
        """The device of the model's first parameter."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of the model's first parameter."""

    def generator(self, stream: str, device: torch.device | str = "cpu") -> torch.Generator:
        """The generator of one of the rule's random streams on `device`."""


@dataclass(frozen=True)
class Site:
    """A place where a block's activation is cut: output number `index` of `module`, or, if `entering`, an argument.

    `turn` is the call of the module that is cut, or None for all of its calls.
    """

    module: nn.Module = field(repr=False)
    index: int = 0
    entering: bool = False
    turn: int | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """A part of the network that ends in an activation (N, *shape), which is cut at `sites`.

    `name` is the module that computes the activation. If a module returns several activations, each one that is cut is
    a block. The second and later names end in `[index]`, the position among the module's floating-point outputs. A
    module that is called several times per forward is one block (with `calls` activations), or one block per call if
    `turn` is set. If it is `timed`, the first position of the error is the call.

    `channel_axis` is the axis of `shape` that holds channels: 0 for (C, H, W) and (C, time), 1 for (tokens, C). The
    other axes are positions.

    `where` describes the cut in words. `axis` is the sample axis of the model's own activation. While a rule computes a
    signal, `output` is the activation of the pass, with samples first, and `batch` holds the model's arguments, as
    (args, kwargs).
    """

    name: str
    module: nn.Module = field(repr=False)
    shape: tuple[int, ...]
    index: int = 0
    sites: tuple[Site, ...] = field(default=(), repr=False)
    where: str = field(default="", repr=False)
    axis: int = field(default=0, repr=False)
    calls: int = 1
    timed: bool = field(default=False, repr=False)
    turn: int | None = field(default=None, repr=False)
    channel_axis: int = field(default=0, repr=False)
    call: int = field(default=0, repr=False)
    batch: tuple[tuple[Any, ...], dict[str, Any]] | None = field(default=None, repr=False)
    _home: Home | None = field(default=None, repr=False)
    _computed: Tensor | None = field(default=None, repr=False)
    _version: int = field(default=0, repr=False)

    @property
    def size(self) -> int:
        """The number of values per sample, n_l."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    @property
    def key(self) -> tuple[str, int]:
        """The block's name and call, a unique key per activation of a forward."""
        return self.name, self.call

    @property
    def home(self) -> Home:
        """The network that this block belongs to."""
        if self._home is None:
            raise RuntimeError("a block belongs to a network only after `attach`")
        return self._home

    @property
    def device(self) -> torch.device:
        """The device of the module's first parameter, or the model's device if the module has none."""
        own = next(self.module.parameters(), None)
        return self.home.device if own is None else own.device

    @property
    def loss_scale(self) -> float | Tensor:
        """The factor by which the training loop has multiplied its loss, and so the error."""
        return self.home.loss_scale

    def of(self, home: Home) -> Block:
        """This block as part of the network `home`."""
        return dataclass_replace(self, _home=home)

    def at_call(self, call: int) -> Block:
        """This block at call number `call` of the forward."""
        return self._with(call=call)

    def part_of(self, error: Tensor) -> Tensor:
        """The part of the error (N, positions..., n_out) that belongs to this call."""
        return error[:, self.call] if self.timed else error

    def part_shape(self, output_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape per sample of the result of `part_of`."""
        return output_shape[1:] if self.timed else output_shape

    def at(self, output: Tensor) -> Block:
        """This block in the current pass, where it computed `output` (N, *shape)."""
        batch = None if self._home is None else self._home.batch
        return self._with(batch=batch, _computed=output, _version=output._version)

    def _with(self, **changes: Any) -> Block:
        """`dataclasses.replace` without `__init__`, which is several times faster. Each step copies every block."""
        copy: Block = object.__new__(Block)
        vars(copy).update(vars(self), **changes)
        return copy

    @property
    def output(self) -> Tensor:
        """The activation (N, *shape). Raises UserError if the model has overwritten it since."""
        if self._current._version != self._version:
            raise UserError(
                f"the model overwrites the output of block {self.name!r} in place, but the rule reads it later",
                hint="set inplace=False in the activation after it, or use block.output_shape if the shape is enough",
            )
        return self._current

    @property
    def output_shape(self) -> torch.Size:
        """(N, *shape). For sequences, it may change between passes."""
        return self._current.shape

    @property
    def _current(self) -> Tensor:
        if self._computed is None:
            raise RuntimeError("a block has an output only while its signal is computed")
        return self._computed

    def store(self, name: str, value: Tensor) -> None:
        """Store `value` on the block's device, as a constant buffer that moves, saves and copies with the model."""
        self.module.register_buffer(self._buffer(name), value.detach().to(self.device))

    def load(self, name: str) -> Tensor:
        """Return the tensor that `store` saved under `name`."""
        buffer = self.module._buffers.get(self._buffer(name))
        return self.module.get_buffer(self._buffer(name)) if buffer is None else buffer

    def own(self, module: nn.Module, name: str = "own", **settings: Any) -> nn.Module:
        """Give the rule its own module at this block, on its device and in the model's dtype. Call it in `setup`.

        The optimizer trains the module's parameters, with `settings` (such as `lr=1e-3`) instead of its defaults. Their
        gradients are whatever `backward()` leaves in `.grad` while the rule computes a signal or runs its second phase.
        Returns the module. `owned(name)` also returns it later.
        """
        return self.home.owned.add(self, module.to(self.device, self.home.dtype), name, settings)

    def owned(self, name: str = "own") -> nn.Module:
        """The module that `own` registered under `name`."""
        return self.home.owned.find(self, name)

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the rule owns at this block."""
        return self._home.owned.parameters(self) if self._home is not None and self._home.owned else []

    def _buffer(self, name: str) -> str:
        return f"{PREFIX}{name}{self.index or ''}" + ("" if self.turn is None else f"_call{self.turn}")


def remove_stored(model: nn.Module) -> None:
    """Delete every buffer that a rule stores on the modules of `model`."""
    for module in model.modules():
        for name in [name for name in module._buffers if name.startswith(PREFIX)]:
            delattr(module, name)


def own_buffers(model: nn.Module) -> list[Tensor]:
    """The model's own buffers, without a rule's buffers."""
    return [
        buffer
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None and not name.startswith(PREFIX)
    ]


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, including a rule's buffers and those that `state_dict` omits."""
    return dict(chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)))


@torch.no_grad()
def load_tensors(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy `tensors` (from `tensors_of`) into `model`. Raises KeyError if the names differ.

    Buffers that a rule or the model's forward creates or replaces may be missing from `model` or have another shape.
    They are added.
    """
    own = tensors_of(model)
    for name, value in tensors.items():
        if name in own and own[name].shape == value.shape:
            own.pop(name).copy_(value)
        elif _may_add(model, name):
            path, _, buffer = name.rpartition(".")
            model.get_submodule(path)._buffers[buffer] = value.to(next(model.parameters()).device)
            own.pop(name, None)
        else:
            raise KeyError(name)
    if own:
        raise KeyError(*own)


def _may_add(model: nn.Module, name: str) -> bool:
    """Whether `name` is a rule's buffer, or a buffer of the model that is empty or has another shape now."""
    path, _, buffer = name.rpartition(".")
    module = dict(model.named_modules()).get(path)
    return module is not None and (PREFIX in name or buffer in module._buffers)

"""A block: a module whose output is a point where credit can be assigned."""

from __future__ import annotations

from dataclasses import dataclass, field
from dataclasses import replace as dataclass_replace

from torch import Tensor, nn

PREFIX = "grape_bench_"  # of the buffers that a rule keeps on a user's modules


@dataclass(frozen=True, eq=False)
class Block:
    """The module `name`, whose output (N, *shape) is cut.

    `output` is the activation of the pass at hand; it is there only while a rule computes a signal.
    """

    name: str
    module: nn.Module = field(repr=False)
    shape: tuple[int, ...]
    output: Tensor | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Numbers per sample, n_l."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    def at(self, output: Tensor) -> Block:
        """This block in a pass in which it computed `output`."""
        return dataclass_replace(self, output=output)

    def store(self, name: str, value: Tensor) -> None:
        """Keep `value` as a buffer of the module, so that it moves, saves and copies with the model."""
        self.module.register_buffer(PREFIX + name, value)

    def load(self, name: str) -> Tensor:
        """What `store` kept under `name`."""
        return self.module.get_buffer(PREFIX + name)


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

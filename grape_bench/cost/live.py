"""The peak bytes of live tensors: what training holds, excluding memory held by an allocator or the C library."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grape_bench.cost.step import Step, holders
from grape_bench.data.dataset import Example


def live_bytes(step: Step, batches: Iterable[Example], take: Callable[[Example], object]) -> int:
    """Train on `batches` with `take`, and return the peak bytes of the tensors that training adds to the weights.

    These are feedback, optimizer state, gradients, activations and temporary tensors. Workspaces inside an operator are
    not counted. If a rule's steps differ, pass as many batches as its period. Models run uncompiled.
    """
    counted = list(batches)
    (batch, target), *_ = counted
    held = holders(step, batch, target)
    for parameter in step.network.parameters():
        parameter.grad = None
    with torch.compiler.set_stance("force_eager"), LiveTensors() as live:
        for example in counted:
            take(example)
    peak: int = held.feedback + held.optimizer + (held.owned or 0) + live.peak
    return peak


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of tensors that operators create inside this block: those alive `now`, and their `peak`.

    Tensors that share a storage count once. Tensors from before the block do not count.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}  # by storage; 0 for those from before the block

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and count its results."""
        self._note(args, made=False)
        self._note(kwargs, made=False)
        result = operator(*args, **(kwargs or {}))
        self._note(result, made=True)
        return result

    def _note(self, values: Any, *, made: bool) -> None:
        for value in tree_leaves(values):
            if isinstance(value, Tensor) and value.layout is torch.strided and not value.is_meta:
                storage = value.untyped_storage()
                if storage._cdata not in self._sizes:
                    size = storage.nbytes() if made else 0
                    self._sizes[storage._cdata] = size
                    weakref.finalize(storage, self._freed, storage._cdata)
                    self.now += size
                    self.peak = max(self.peak, self.now)

    def _freed(self, key: int) -> None:
        self.now -= self._sizes.pop(key)

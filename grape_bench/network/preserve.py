"""Run a model without changing its buffers or the random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from grape_bench.network.block import own_buffers


@contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Restore the model's own buffers (BatchNorm statistics) and the random generators at the end.

    The next forward therefore draws the same dropout masks as a forward inside the block.
    """
    saved = [(buffer, buffer.clone()) for buffer in own_buffers(model)]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)

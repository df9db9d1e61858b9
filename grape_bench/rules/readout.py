"""The error of a readout at each step of a sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from grape_bench.errors import DoesNotApplyError
from grape_bench.network.block import Block

if TYPE_CHECKING:
    from grape_bench.network.network import Network

Read = Callable[..., Tensor]
"""(steps (N, T, n), masks of the batch) -> what the head reads: (N, n), or (N, T, n)."""

MASKS = ("attention_mask", "mask")


def read_of(network: Network) -> Read:
    """The model's `read`. Raises DoesNotApplyError if it has none, because then its head may read any steps."""
    read: Any = getattr(network.model, "read", None)
    if read is None:
        raise DoesNotApplyError("the model has no method `read`, which says what its head reads of the steps")
    found: Read = read
    return found


def step_errors(read: Read, block: Block, error: Tensor) -> Tensor:
    """The error e_t (N, T, n_out) of a linear readout y_t at each step. `read` combines all y_t into the output."""
    # Example: a head that reads the mean of 25 steps. y = (y_1 + ... + y_25) / 25, so e_t = e / 25 at every step.
    # A head that reads the last step: e_25 = e, and the other e_t are zero.
    named = block.batch[1] if block.batch else {}  # without a batch, all steps are real
    masks = {name: mask for name, mask in named.items() if name in MASKS and mask is not None}
    with torch.enable_grad():
        readout = error.new_zeros(*block.output_shape[:2], error.shape[-1], requires_grad=True)
        (found,) = torch.autograd.grad(read(readout, **masks), readout, error)
    return found

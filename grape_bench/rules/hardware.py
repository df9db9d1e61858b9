"""The limits of an analog or low-precision device that stores B and computes B^T e, for any direct feedback."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from grape_bench.errors import UserError
from grape_bench.network.block import Block
from grape_bench.rules.feedback import FEEDBACK, FeedbackMap, Matrix, Stored

if TYPE_CHECKING:
    from grape_bench.network.network import Network

Precision = Literal["exact", "ternary"]
DEAD, AGING = "dead", "aging"


@dataclass(frozen=True)
class Hardware:
    """How a device distorts B^T e. The defaults are a perfect device.

    - `error="ternary"`, or `error_bits` = k: the error of each sample is rounded to 2^k - 1 levels between plus and
      minus its largest value. Ternary is k = 2 (Launay et al. 2020 use it on an optical processor).
    - `feedback_bits` = k: the same for B, over each block. k = 2 is ternary.
    - `noise`: Gaussian read-out noise on each signal, relative to the signal's root mean square.
    - `dead`: the share of the entries of B that are stuck at zero.
    - `drift`: after t training steps an entry b of B has become b t^-v, with v ~ N(drift, (drift / 2)^2), as in
      phase-change memory (Le Gallo et al. 2018).
    """

    error: Precision = "exact"
    error_bits: int | None = None
    feedback_bits: int | None = None
    noise: float = 0.0
    dead: float = 0.0
    drift: float = 0.0

    def __post_init__(self) -> None:
        if self.error not in get_args(Precision):
            raise ValueError(f"error = {self.error!r} is not one of {', '.join(get_args(Precision))}")
        if self.error == "ternary" and self.error_bits not in (None, 2):
            raise ValueError("a ternary error has 2 bits")
        if any(bits is not None and bits < 2 for bits in (self.error_bits, self.feedback_bits)):
            raise ValueError("a sign and a zero take 2 bits at least")
        if not 0 <= self.dead < 1 or self.noise < 0 or self.drift < 0:
            raise ValueError("dead must be in [0, 1), noise and drift must not be negative")

    def install(self, network: Network, maps: dict[str, FeedbackMap]) -> dict[str, FeedbackMap]:
        """Put the matrices of `maps` on this device. Raises UserError for feedback that is not stored."""
        if self == Hardware():
            return maps
        return {name: replace(one, matrix=self._device(network, one)) for name, one in maps.items()}

    def _device(self, network: Network, kept: FeedbackMap) -> Device:
        if not isinstance(kept.matrix, Stored):
            what = "the limits of a device need a matrix of each block's own, not a slice or a seed"
            raise UserError(what, hint='feedback = "dense", "per-channel" or "auto"')
        generator, block = network.generator("rule"), kept.block
        shape = block.load(FEEDBACK).shape
        if self.dead:
            block.store(DEAD, torch.rand(shape, generator=generator) < self.dead)
        if self.drift:
            block.store(AGING, self.drift * (1 + torch.randn(shape, generator=generator) / 2))
        return Device(kept.matrix, self, block, network)


SETTINGS = tuple(one.name for one in fields(Hardware))
"""The settings that every direct-feedback rule accepts in addition to its own."""


@dataclass(frozen=True)
class Device:
    """B on a device with the limits of `hardware`."""

    exact: Matrix
    hardware: Hardware
    block: Block
    network: Network = field(repr=False)

    def back(self, rows: Tensor) -> Tensor:
        """Multiply the quantized rows by the stored B as it is now, and read out the result."""
        limits = self.hardware
        bits = 2 if limits.error == "ternary" else limits.error_bits
        rows = rows if bits is None else quantized(rows, bits, rows.abs().amax(1, keepdim=True))
        held = self.block.load(FEEDBACK)
        if limits.feedback_bits is not None:
            held = quantized(held, limits.feedback_bits, held.abs().max())
        if limits.dead:
            held = held.masked_fill(self.block.load(DEAD), 0.0)
        if limits.drift:
            steps = max(1, self.network.counts.steps)
            held = held * torch.exp(-self.block.load(AGING) * math.log(steps))
        signal = rows.to(held.dtype) @ held
        if limits.noise:
            size = signal.square().mean().sqrt()
            generator = self.network.generator("rule", signal.device)
            drawn = torch.randn(signal.shape, generator=generator, device=signal.device, dtype=signal.dtype)
            signal = signal + limits.noise * size * drawn
        return signal


def quantized(values: Tensor, bits: int, largest: Tensor) -> Tensor:
    """`values` rounded to 2^bits - 1 levels between -largest and largest."""
    # Example: 3 bits, largest 6: levels -6, -4, -2, 0, 2, 4, 6. The value 2.7 becomes 2, and 3.1 becomes 4.
    step = largest / (2 ** (bits - 1) - 1)
    return torch.where(step > 0, (values / step).round() * step, values)

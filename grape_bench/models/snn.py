"""Spiking networks of snntorch. The extra `spiking` installs the library."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from math import prod
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from grape_bench.models.arguments import Count, Widths, missing_extra
from grape_bench.models.inputs import Inputs
from grape_bench.network.steps import Carry, Units, passed

Encoder = Literal["current", "rate", "latency"]
Decay = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]

EVALUATION_SEED = 0


class SpikingLayer(nn.Module):
    """A linear map at each step, and leaky integrate-and-fire neurons: (N, steps, n_in) -> spikes (N, steps, n_out).

    The surrogate gradient of a spike is that of a fast sigmoid (Zenke and Ganguli 2018). Gradients through time are
    exact, but no gradient passes through the reset after a spike. `recurrent` neurons also receive the layer's spikes
    from the previous step.
    """

    units: Units = "spiking"

    def __init__(self, n_in: int, n_out: int, beta: float, recurrent: bool) -> None:
        super().__init__()
        snntorch = library()
        self.linear = nn.Linear(n_in, n_out)
        self.recurrent = nn.Linear(n_out, n_out, bias=False) if recurrent else None
        self.neurons = snntorch.Leaky(beta=beta, spike_grad=import_module("snntorch.surrogate").fast_sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Run the neurons over all steps, from a membrane potential of zero."""
        return self.unrolled(x, "all")

    def unrolled(self, x: Tensor, carry: Carry) -> Tensor:
        """Return the spikes. See `Stepwise`."""
        currents: Tensor = self.linear(x)
        spike = membrane = torch.zeros_like(currents[:, 0])
        spikes = []
        for current in currents.unbind(1):
            if self.recurrent is not None:
                current = current + self.recurrent(passed(spike, carry, own=False))
            spike, membrane = self.neurons(current, passed(membrane, carry, own=True))
            spikes.append(spike)
        return torch.stack(spikes, 1)


class SpikingNetwork(nn.Module):
    """An encoder, spiking layers as siblings in `hidden`, and a linear `head` on the spike rates.

    (N, *shape) -> (N, classes). `encoder` is "current" (the sample itself at each step), "rate" (random spikes) or
    "latency" (one spike, earlier for larger values). The last two convert standardized values to intensities from 0 to
    1 with the normal distribution function. Random spikes are the same at each evaluation. Raises UserError for tokens,
    graphs and categories.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        inputs: Inputs,
        hidden: Widths = (256, 256),
        steps: Count = 25,
        beta: Decay = 0.9,
        encoder: Encoder = "current",
        recurrent: bool = False,
    ) -> None:
        super().__init__()
        inputs.require("snn", "values")
        self.steps, self.encoder = steps, encoder
        widths = [prod(shape), *hidden]
        self.hidden = nn.Sequential(*(SpikingLayer(a, b, beta, recurrent) for a, b in pairwise(widths)))
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, *shape) to logits (N, classes)."""
        logits: Tensor = self.head(self.read(self.hidden(self.encoded(x.flatten(1)))))
        return logits

    def read(self, steps: Tensor) -> Tensor:
        """What the head reads of the `steps` (N, steps, n): their mean (N, n)."""
        return steps.mean(1)

    def encoded(self, x: Tensor) -> Tensor:
        """Return the input (N, steps, values) at each step."""
        if self.encoder == "current":
            return x[:, None].expand(-1, self.steps, -1)
        intensity = torch.special.ndtr(x)
        if self.encoder == "latency":
            latency = import_module("snntorch.spikegen").latency
            spikes: Tensor = latency(intensity, num_steps=self.steps, linear=True, normalize=True)
            return spikes.transpose(0, 1).to(x.dtype)
        # An evaluation must not be random, and must not draw from the training generator.
        generator = None if self.training else torch.Generator(x.device).manual_seed(EVALUATION_SEED)
        drawn = torch.rand(len(x), self.steps, x.shape[1], generator=generator, device=x.device)
        fired: Tensor = drawn < intensity[:, None]
        return fired.to(x.dtype)


def library() -> Any:
    """Import snntorch. Raises UserError if it is not installed."""
    try:
        return import_module("snntorch")
    except ImportError as error:
        raise missing_extra("snn", "snntorch", "spiking") from error

"""Spiking networks, as in the tutorials of snntorch and spikingjelly."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.zoo.entry import Entry, classes, reads_classes

STEPS = 6


def leaky(**options):
    import snntorch

    return snntorch.Leaky(beta=0.9, threshold=0.3, **options)


class Leaky(nn.Module):
    """Two linear layers of leaky neurons, called once per time step; returns spikes and membranes (T, N, C)."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(8, 12), leaky(), nn.Linear(12, 5), leaky()

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class LeakyConvolutions(nn.Module):
    """Convolutions of neurons that keep their own membranes, reset before each forward."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.MaxPool2d(2),
            leaky(init_hidden=True),
            nn.Conv2d(4, 6, 3),
            nn.MaxPool2d(2),
            leaky(init_hidden=True),
            nn.Flatten(),
            nn.Linear(24, 5),
            leaky(init_hidden=True, output=True),
        )

    def forward(self, x):
        from snntorch import utils

        utils.reset(self.net)
        steps = [self.net(x) for _ in range(STEPS)]
        return torch.stack([spikes for spikes, _ in steps]), torch.stack([membranes for _, membranes in steps])


def of_membranes(output):
    """The cross-entropy of the membranes, summed over time."""
    _, membranes = output
    return sum(F.cross_entropy(step, classes(len(step), 5)) for step in membranes)


def of_spikes(output):
    """The cross-entropy of the spikes, averaged over time (`ce_rate_loss` of snntorch)."""
    spikes, _ = output
    return sum(F.cross_entropy(step, classes(len(step), 5)) for step in spikes) / len(spikes)


class Spiking(nn.Module):
    """Convolutions and linear layers of integrate-and-fire neurons; the output is the rate of the last spikes (N, C).

    `mode` "m" hands the layers all steps at once as (T, N, ..); "s" calls them step by step.
    """

    def __init__(self, mode):
        super().__init__()
        from spikingjelly.activation_based import functional, layer, neuron, surrogate

        def spikes():
            return neuron.IFNode(v_threshold=0.3, surrogate_function=surrogate.ATan())

        self.mode = mode
        self.conv_fc = nn.Sequential(
            layer.Conv2d(1, 4, 3, padding=1, bias=False),
            layer.BatchNorm2d(4),
            spikes(),
            layer.MaxPool2d(2, 2),
            layer.Flatten(),
            layer.Linear(4 * 4 * 4, 12, bias=False),
            spikes(),
            layer.Linear(12, 5, bias=False),
            spikes(),
        )
        functional.set_step_mode(self, mode)

    def forward(self, x):
        from spikingjelly.activation_based import functional

        functional.reset_net(self)
        if self.mode == "m":
            return self.conv_fc(x.unsqueeze(0).repeat(STEPS, 1, 1, 1, 1)).mean(0)
        return sum(self.conv_fc(x) for _ in range(STEPS)) / STEPS


def rates(output):
    """The squared distance to one spike per step in the right class."""
    return F.mse_loss(output, F.one_hot(classes(len(output), 5), 5).to(output.dtype))


SNNTORCH, SPIKINGJELLY = ("snntorch",), ("spikingjelly",)

SPIKINGJELLY_MULTI_STEP = Entry(
    "spikingjelly_multi_step",
    lambda: Spiking("m"),
    lambda: torch.rand(4, 1, 8, 8),
    rates,
    ("conv_fc.[05].weight",),
    ("conv_fc.7.weight",),
    (4, 5),
    imports=SPIKINGJELLY,
    family="spiking",
    surrogate=True,
)

ENTRIES = [
    Entry(
        "snntorch_leaky",
        Leaky,
        lambda: torch.rand(4, 8),
        of_membranes,
        ("fc1.weight",),
        ("fc2.weight",),
        (4,),
        refused=reads_classes("several outputs"),
        imports=SNNTORCH,
        family="spiking",
        surrogate=True,
    ),
    Entry(
        "snntorch_convolutions",
        LeakyConvolutions,
        lambda: torch.rand(4, 1, 14, 14),
        of_spikes,
        ("net.[03].weight",),
        ("net.7.weight",),
        (4,),
        refused=reads_classes("several outputs"),
        imports=SNNTORCH,
        family="spiking",
        surrogate=True,
    ),
    SPIKINGJELLY_MULTI_STEP,
    replace(SPIKINGJELLY_MULTI_STEP, name="spikingjelly_single_step", make=lambda: Spiking("s")),
]

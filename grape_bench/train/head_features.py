"""The input of a model's output layer: the features on which a converged head is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from grape_bench.data.dataset import Split
from grape_bench.data.rows import Samples
from grape_bench.network.modes import evaluation
from grape_bench.network.network import Network
from grape_bench.network.reach import HEAD
from grape_bench.network.trace import Batch
from grape_bench.objectives.objective import Objective
from grape_bench.train import data_parallel

LARGEST = 2**28
"""The most entries in a feature matrix. It takes 2 GiB in float64, and a fit holds two of them."""


def linear_head(network: Network, batch: Batch, target: Tensor, objective: Objective) -> nn.Linear | None:
    """The output layer of the model if it is one linear layer on flat features (N, F), else None.

    It must hold the only matrix above the last cut, share it with no other layer, and return the scored output. A
    log-softmax may follow, because it changes no score.
    """
    model = network.model
    above = [name for name in network.segments[HEAD] if model.get_parameter(name).dim() > 1]
    if len(above) != 1 or not above[0].endswith("weight"):
        return None
    layer = model.get_submodule(above[0].removesuffix("weight").rstrip("."))
    shared = {id(parameter) for parameter in network.shared_parameters()}
    if not isinstance(layer, nn.Linear) or id(layer.weight) in shared:
        return None
    args, kwargs = batch
    with torch.no_grad(), evaluation(model), _watched(layer) as calls:
        output = objective.scored(model(*args, **kwargs), target)
    if len(calls) != 1:
        return None
    read, made = calls[0]
    if read.dim() != 2 or made.shape != output.shape:
        return None
    same = torch.equal(made, output) or torch.equal(made.log_softmax(-1), output)
    return layer if same else None


@torch.no_grad()
def set_statistics(model: nn.Module, split: Split, batch_size: int) -> None:
    """Set the running statistics of BatchNorm to the mean over one pass through `split`, without augmentation.

    Everything else is in evaluation mode. Layers that are already in evaluation mode keep their statistics.
    """
    norms = [one for one in model.modules() if isinstance(one, _NormBase) and one.training and one.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    with evaluation(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.training = True
        for (args, kwargs), target in split.batches(batch_size):
            if len(target) > 1:  # one sample has no variance
                model(*args, **kwargs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    data_parallel.share_statistics(model)


@torch.no_grad()
def features_of(model: nn.Module, layer: nn.Linear, split: Split, batch_size: int) -> Samples:
    """The inputs of `layer` (N, F) on all of `split` in evaluation mode, with the targets, on the model's device.

    Raises MemoryError if there are more than `LARGEST` entries.
    """
    features, targets, numbers = [], [], 0
    with evaluation(model), _watched(layer) as calls:
        for (args, kwargs), target in split.batches(batch_size):
            model(*args, **kwargs)
            read, _ = calls.pop()
            features.append(read.float())
            targets.append(target)
            numbers += read.numel() * data_parallel.size()
            if numbers > LARGEST:
                raise MemoryError(f"the features of the last layer are more than {LARGEST} numbers")
    return Samples((torch.cat(features),), torch.cat(targets))


def gathered(samples: Samples) -> Samples:
    """The samples of all processes."""
    every = data_parallel.gathered((samples.inputs[0], samples.target))
    device = samples.target.device
    features, targets = (torch.cat([part.to(device) for part in parts]) for parts in zip(*every, strict=True))
    return Samples((features,), targets)


@contextmanager
def _watched(layer: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collect (input, output) of every call of `layer`."""
    calls: list[tuple[Tensor, Tensor]] = []
    handle = layer.register_forward_hook(lambda _, args, output: calls.append((args[0], output)))
    try:
        yield calls
    finally:
        handle.remove()

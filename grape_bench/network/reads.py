"""Which weights a backward pass reads: change one between forward and backward, and see which gradients change."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from grape_bench.network.block import PREFIX
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.taint import is_matrix
from grape_bench.network.trace import Batch, scored_output

MANY = 10_000  # steps per epoch, so many that the first is almost never an anchor
ROUNDING = 1e-4  # relative error of a gradient in fp32


def weights_read(network: Network, batch: Batch) -> dict[str, list[str]]:
    """Name of each weight that the backward pass reads -> the parameters whose gradients change with it.

    A weight is a parameter with two or more dimensions. It is changed between one forward on `batch` and its backward,
    on a copy of the network. The test misses weights whose signs or copies the forward has already saved.
    """
    return dict(each_read(network, batch))


def each_read(network: Network, batch: Batch) -> Iterator[tuple[str, list[str]]]:
    """The items of `weights_read`, one at a time. The forwards of a second phase see the unchanged weights."""
    twin = plain(network)
    twin.planned_steps = MANY
    twin.begin_epoch(MANY)
    model = twin.model
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    with measuring(model), twin.informed(partial(loss_of, model), labels_of(twin, batch)):
        loss = loss_on(model, batch)
        rewind = _rewinding(twin)

        def gradients(*changed: Tensor) -> list[Tensor | None]:
            rewind()
            others = [weight.data + torch.randn_like(weight) * _scale(weight) for weight in changed]
            _swap(changed, others)
            with _with_own_weights_aside(twin, changed, others):
                found = torch.autograd.grad(loss, list(named.values()), retain_graph=True, allow_unused=True)
            _swap(changed, others)
            return list(found)

        still, weights = gradients(), _matrices(model)
        if not _moved(list(named), still, gradients(*weights.values())):
            return
        for name, weight in weights.items():
            moved = _moved(list(named), still, gradients(weight))
            # The formula of a derived weight (weight norm) reads the parameters that it is made from.
            if others := [other for other in moved if _owner(other) != _owner(name)]:
                yield name, others


def _swap(weights: Sequence[Tensor], others: list[Tensor]) -> None:
    """Exchange the values without recording it in autograd."""
    for weight, other in zip(weights, others, strict=True):
        value = weight.data.clone()
        weight.data.copy_(other)
        other.copy_(value)


@contextmanager
def _with_own_weights_aside(network: Network, weights: Sequence[Tensor], others: list[Tensor]) -> Iterator[None]:
    """Give the forwards of a second phase the original weights, because a read there is not a backward read.

    If a rule moves the weights for such a forward, the move starts from the original weights.
    """
    aside = network.aside
    changed = [weight.data.clone() for weight in weights]

    def unchanged(pass_: Pass, batch: Batch) -> Any:
        now = [weight.data.clone() for weight in weights]
        for weight, other, one, before in zip(weights, others, now, changed, strict=True):
            weight.data.copy_(other + (one - before))
        try:
            return aside(pass_, batch)
        finally:
            for weight, one in zip(weights, now, strict=True):
                weight.data.copy_(one)

    vars(network)["aside"] = unchanged
    try:
        yield
    finally:
        del vars(network)["aside"]


def _rewinding(network: Network) -> Callable[[], None]:
    """A function that resets the rule to its current state: its random streams, counters and stored tensors."""
    stored = {name: buffer.clone() for name, buffer in network.model.named_buffers() if PREFIX in name}
    seed, positions, state = network.streams.seed, network.streams.positions(), network.rule.state()
    counted = dict(vars(network.counts))  # a rule may depend on its number of steps

    def rewind() -> None:
        network.streams.restore(seed, positions)
        network.rule.load_state(state)
        vars(network.counts).update(counted)
        for name, value in stored.items():
            network.model.get_buffer(name).data.copy_(value)

    return rewind


def plain(network: Network) -> Network:
    """A copy of `network` in single precision."""
    twin = copy.deepcopy(network)
    twin.model.float()
    return twin


@contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """Run without autocast, compiled code and recomputation, and preserve the global random state."""
    parameter = next(model.parameters())
    devices = [parameter.device.index or 0] if parameter.is_cuda else []
    # Without its hooks, a checkpoint keeps its activations. Otherwise the repeated forward would read the changed
    # weights.
    own = vars(checkpoint)["_checkpoint_hook"]
    vars(checkpoint)["_checkpoint_hook"] = lambda _: nullcontext()
    try:
        with torch.random.fork_rng(devices=devices), torch.autocast(parameter.device.type, enabled=False):
            torch.manual_seed(0)
            with torch.compiler.set_stance("force_eager"), torch.enable_grad():
                yield
    finally:
        vars(checkpoint)["_checkpoint_hook"] = own


def loss_on(model: nn.Module, batch: Batch) -> Tensor:
    """A loss whose gradient differs between samples and outputs."""
    args, kwargs = batch
    return loss_of(model, model(*args, **kwargs))


def loss_of(model: nn.Module, returned: Any) -> Tensor:
    """A loss on what `model` returned, whose gradient differs between samples and outputs."""
    output = scored_output(returned)
    assert output is not None, f"attaching has found an output of {type(model).__name__}"
    generator = torch.Generator().manual_seed(0)
    loss: Tensor = (output.float() * torch.randn(output.shape, generator=generator).to(output.device)).sum()
    return loss


def labels_of(network: Network, batch: Batch) -> Tensor:
    """Class indices (N, positions...) for rules that read them."""
    *positions, classes = network.output_shape
    shape = (network.samples.count_in(batch), *positions)
    return (torch.arange(math.prod(shape), device=network.device) % classes).view(shape)


def _matrices(model: nn.Module) -> dict[str, Tensor]:
    gains = {id(p) for module in model.modules() if "Norm" in type(module).__name__ for p in module.parameters(False)}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if is_matrix(parameter) and id(parameter) not in gains
    }


def _scale(weight: Tensor) -> Tensor:
    return weight.detach().std(correction=0).clamp(min=1e-2)


def _owner(name: str) -> str:
    """The weight that the parameter `name` belongs to: `a.weight_v` and `a.weight_g` are parts of `a.weight`."""
    head, found, _ = name.partition("parametrizations.")
    if found:
        return head + found + name[len(head) + len(found) :].partition(".")[0]
    return name.removesuffix("_v").removesuffix("_g").removesuffix("_orig")


def _moved(names: list[str], still: list[Tensor | None], moved: list[Tensor | None]) -> list[str]:
    pairs = zip(names, still, moved, strict=True)
    return [name for name, one, other in pairs if one is not None and (other is None or differ(one, other))]


def differ(one: Tensor, other: Tensor) -> bool:
    """Whether `other` differs from `one` by more than rounding."""
    return bool((one - other).norm() > ROUNDING * one.norm() + 1e-12)

"""Measure weight transport: which weights a backward pass reads, and what the signals at the blocks depend on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from grape_bench.network.block import PREFIX
from grape_bench.network.network import Network
from grape_bench.network.operators import LinearMap, OperatorMode
from grape_bench.network.passes import Pass
from grape_bench.network.reads import differ, each_read, labels_of, loss_of, loss_on, measuring, plain
from grape_bench.network.trace import Batch
from grape_bench.network.trees import activations, map_tensors, tensors
from grape_bench.network.weights import WeightMode

Transport = Literal["none", "learned from forward passes", "signs", "inside a block", "all"]
"""What the backward pass takes from the weights, from the least to the most."""

ORDER: tuple[Transport, ...] = ("none", "learned from forward passes", "signs", "inside a block", "all")

Make = Callable[[Callable[[nn.Module], None]], Network]
"""Attaches a new rule to a new model with the same weights. First applies the argument to the model."""


def transport(make: Make, batch: Batch) -> Transport:
    """What an ordinary step of the rule on `batch` takes from the weights: the stronger result of two tests.

    One test changes weights between forward and backward. The other replays the activations in a network that had other
    weights from the start, and compares the signals at the blocks.
    """
    network = make(_as_it_is)
    names = [name for name, _ in network.model.named_parameters()]
    segment = {name: {key for key, inside in network.segments.items() if name in inside} for name in names}
    above = _unembedding(network)  # the error is taken at the features, so this weight is part of the error
    found: Transport = "none"
    for name, others in each_read(network, batch):
        if name not in above:
            found = "inside a block" if all(segment[name] & segment[other] for other in others) else "all"
        if found == "all":
            return found
    return max(found, _by_replay(make, batch), key=ORDER.index)


def _by_replay(make: Make, batch: Batch) -> Transport:
    network = make(_as_it_is)
    weights = [name for name in _linear_weights(network) if name not in _unembedding(network)]

    def differs(prepare: Callable[[nn.Module], None], *, copied: bool) -> bool:
        kept, moved = plain(make(_as_it_is)), plain(make(prepare))
        recording = Recording(kept, weights)
        replay = Recording(moved, weights, recording.outputs)
        expected = recording.forward(batch)
        if copied:
            _copy_when_opened(kept, moved)
        other = replay.forward(batch)
        if copied:
            _copy_feedback(kept, moved)
        labels = labels_of(kept, batch)
        with kept.informed(partial(loss_of, kept.model), labels), moved.informed(partial(loss_of, moved.model), labels):
            expected.backward()
            other.backward()
        pairs = [(replay.signals.get(name), signal) for name, signal in recording.signals.items()]
        return any(one is None or differ(signal, one) for one, signal in pairs)

    shuffled, same_signs = Shuffled(weights), Shuffled(weights, keep_signs=True)
    if not differs(shuffled, copied=False):
        return "none"
    if not differs(shuffled, copied=True):
        return "learned from forward passes"
    return "all" if differs(same_signs, copied=True) else "signs"


class Shuffled:
    """Shuffles the entries of each weight. Their distribution, which scales feedback, stays the same."""

    def __init__(self, names: list[str], *, keep_signs: bool = False) -> None:
        self.names, self.keep_signs = names, keep_signs

    @torch.no_grad()
    def __call__(self, model: nn.Module) -> None:
        """Change `model` in place. With `keep_signs`, entries are exchanged only with entries of the same sign."""
        generator = torch.Generator().manual_seed(0)
        for name in self.names:
            weight = model.get_parameter(name)
            flat = weight.detach().cpu().flatten()
            groups = [flat > 0, flat < 0] if self.keep_signs else [torch.ones_like(flat, dtype=torch.bool)]
            for group in groups:
                places = group.nonzero()[:, 0]
                flat[places] = flat[places[torch.randperm(len(places), generator=generator)]]
            weight.copy_(flat.view_as(weight))


class Recording(WeightMode):
    """Records the result of each call with a weight, and the signals at the blocks. Or replays such a recording."""

    def __init__(self, network: Network, weights: list[str], replayed: list[Any] | None = None) -> None:
        super().__init__({id(network.model.get_parameter(name)) for name in weights})
        self.network, self.model, self.replayed = network, network.model, replayed
        self.outputs: list[Any] = []
        self._aside = False
        self.signals: dict[str, Tensor] = {}
        for block in network.blocks:
            # Runs before the network's own hook, which passes on a constant.
            block.module.register_forward_hook(self._at(block.name, block.index), prepend=True)

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss of a forward on `batch`, whose backward also records the forwards of a second phase."""
        with measuring(self.model), self:
            loss = loss_on(self.model, batch)
        vars(self.network)["aside"] = self._recorded_aside
        return loss

    def _recorded_aside(self, pass_: Pass, batch: Batch) -> Any:
        self._aside = True
        try:
            with self:
                return type(self.network).aside(self.network, pass_, batch)
        finally:
            self._aside = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        sources = [tensor for tensor in tensors([args, kwargs or {}]) if self.copies.source(tensor)]
        result = OperatorMode.__torch_function__(self, func, types, args, kwargs)
        recorded = self._aside or torch.is_grad_enabled()
        if not recorded or not sources:
            return result
        self.copies.note(func, args, kwargs or {}, result)
        made = [
            one for one in activations(result) if (self._aside or one.requires_grad) and not self.copies.source(one)
        ]
        return map_tensors(lambda one: self._seen(one) if any(one is each for each in made) else one, result)

    def linear_map(self, call: LinearMap) -> Tensor:
        """Run the operator itself. `__torch_function__` replaces its result."""
        return call.apply(call.input, call.weight, call.bias)

    def _seen(self, output: Tensor) -> Tensor:
        self.outputs.append(output.detach())
        if self.replayed is None:
            return output
        return substitute(output, self.replayed[len(self.outputs) - 1])

    def _at(self, name: str, index: int) -> Callable[..., None]:
        def note(_: nn.Module, __: Any, output: Any) -> None:
            made = dict(enumerate(activations(output))).get(index)
            if torch.is_grad_enabled() and made is not None and made.requires_grad:
                made.register_hook(lambda signal: self.signals.__setitem__(name, signal))

        return note


def substitute(output: Tensor, recorded: Tensor) -> Tensor:
    """Return the values of `recorded`. The gradient goes to `output`."""
    replaced: Tensor = _Replaced.apply(output, recorded)
    return replaced


class _Replaced(torch.autograd.Function):
    """(a, b) -> b. The backward passes the gradient to a."""

    @staticmethod
    def forward(ctx: Any, _: Tensor, recorded: Tensor) -> Tensor:
        return recorded.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def _linear_weights(network: Network) -> list[str]:
    ids = {id(getattr(module, name)) for module, name in network.weights}
    return [name for name, parameter in network.model.named_parameters() if id(parameter) in ids]


def _unembedding(network: Network) -> list[str]:
    """The weight above the features at which the error is read, if there is one."""
    own = set() if network.unembedding is None else {id(parameter) for parameter in network.unembedding.parameters()}
    return [name for name, parameter in network.model.named_parameters() if id(parameter) in own]


def _copy_feedback(source: Network, target: Network) -> None:
    """Copy the rule's feedback. Feedback learned from forward passes is not weight transport in the backward."""
    kept = dict(source.model.named_buffers())
    for name, buffer in target.model.named_buffers():
        if PREFIX in name:
            buffer.data.copy_(kept[name])  # .data hides the write from autograd, which must use the new values
    for own, other in zip(source.owned.parameters(), target.owned.parameters(), strict=True):
        other.data.copy_(own)


def _copy_when_opened(source: Network, target: Network) -> None:
    """Copy the feedback when the next pass opens, before the forward uses it."""
    rule = target.rule
    open_pass = rule.open_pass

    def opened(*args: Any) -> Pass:
        pass_ = open_pass(*args)
        _copy_feedback(source, target)
        return pass_

    vars(rule)["open_pass"] = opened


def _as_it_is(model: nn.Module) -> None:
    """Change nothing."""

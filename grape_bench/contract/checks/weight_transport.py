"""The declared `weight_transport` matches whether the backward signal reads the forward weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from grape_bench.attachment import attach
from grape_bench.contract.broken import difference, require
from grape_bench.contract.cases import Case, MakeRule, steps_of
from grape_bench.network.block import PREFIX
from grape_bench.network.network import Network
from grape_bench.network.reads import MANY
from grape_bench.network.trace import as_batch
from grape_bench.network.transport import substitute, transport
from grape_bench.network.trees import first_activation, replace


class Recording:
    """Records the outputs of a network's linear maps, and the signals that arrive at its blocks.

    Forwards that the rule runs on the side are not recorded, but the signals of their backwards are.
    """

    # Example: an MLP with two hidden layers of 12 units, N = 12 samples.  outputs = {"hidden.0.0": [(12, 12)],
    #   "hidden.1.0": [(12, 12)], "head": [(12, 5)]}. After the backward, signals = {"hidden.0": (12, 12), ...}.
    #   A replay in a twin with other weights downstream of hidden.0 shows whether signals["hidden.0"] depends on them.

    def __init__(self, network: Network) -> None:
        self.outputs: dict[str, list[Tensor]] = defaultdict(list)
        self.signals: dict[str, Tensor] = {}
        self._called: list[str] = []
        self._network = network
        self._names = {module: name for name, module in network.model.named_modules()}
        for block in network.blocks:
            # Runs before the network's own hook, which passes on a constant.
            block.module.register_forward_hook(self._at_block, prepend=True)
        for module in {module: None for module, _ in network.weights}:
            module.register_forward_hook(self._at_linear, prepend=True)  # so that the rule sees the replayed scores

    def downstream(self, block: str) -> list[str]:
        """The linear maps that were called after `block`, in calling order."""
        after = self._called[self._called.index(block) + 1 :]
        return [name for name in after if name in self.outputs and name != block]

    def linear(self, name: str, output: Tensor) -> Tensor:
        """Record the `output` of the linear map `name`. Returns what the network uses downstream."""
        self.outputs[name].append(output.detach())
        return output

    def _at_block(self, module: nn.Module, _: Any, output: Any) -> None:
        activation, name = first_activation(output), self._names[module]
        if torch.is_grad_enabled() and activation is not None and activation.requires_grad:
            if not self._network.is_aside:
                self._called.append(name)
            activation.register_hook(lambda signal: self.signals.__setitem__(name, signal))

    def _at_linear(self, module: nn.Module, _: Any, output: Any) -> Any:
        if not torch.is_grad_enabled() or self._network.is_aside:
            return output
        self._called.append(self._names[module])
        made = first_activation(output)  # a recurrent layer also returns its last state
        assert made is not None, "a linear map returns an activation"
        return replace(output, made, self.linear(self._names[module], made))


class Replay(Recording):
    """Makes a network with other weights use the linear-map outputs stored in `recorded`."""

    def __init__(self, network: Network, recorded: Recording) -> None:
        super().__init__(network)
        self.recorded = recorded

    def linear(self, name: str, output: Tensor) -> Tensor:
        """Return the recorded output. The backward still runs through this network's own map."""
        return substitute(output, self.recorded.outputs[name].pop(0))


def redraw(network: Network, maps: Collection[str]) -> None:
    """Replace the weights of the linear maps called `maps` by random weights of the same scale."""
    chosen = [network.model.get_submodule(name) for name in maps]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module, name in network.weights:
            if module in chosen:
                weight = module.get_parameter(name)
                weight.copy_(torch.randn(weight.shape, generator=generator) * weight.std())


def copy_feedback(source: Network, target: Network) -> None:
    """Copy the tensors that the rule stores in `source` to `target`."""
    kept = dict(source.model.named_buffers())
    for name, buffer in target.model.named_buffers():
        if PREFIX in name:
            buffer.data.copy_(kept[name])  # .data hides the write from autograd, whose backward must use the new values
    for own, other in zip(source.owned.parameters(), target.owned.parameters(), strict=True):
        other.data.copy_(own)


ROUNDING = 1e-4  # relative error of a signal in fp32


def check(case: Case, make_rule: MakeRule) -> str:
    """Redraw the weights downstream of each block, keep everything else fixed, and compare the signal at the block."""
    network = case.attached(make_rule)
    declared, blocks = network.rule.weight_transport, [block.name for block in network.blocks]
    readers = [name for name in blocks if _reads(case, make_rule, name)]
    if readers:
        listed = ", ".join(readers)
        require(declared, f"weight_transport = False is declared, but the signal reads the weights at {listed}")
        return f"the signal reads the weights at {len(readers)} of {len(blocks)} blocks"
    found = transport(partial(_prepared, case, make_rule), as_batch(case.inputs(0)))
    if found in ("signs", "all"):
        require(declared, f"weight_transport = False is declared, but the backward pass reads weights: {found}")
        return f"the backward pass reads weights: {found}"
    require(not declared, "weight_transport = True is declared, but no block's signal reads the weights")
    return "no block's signal reads the weights"


def _prepared(case: Case, make_rule: MakeRule, prepare: Callable[[nn.Module], None]) -> Network:
    model = case.model()
    prepare(model)
    network = attach(model, make_rule(), case.inputs(0))
    network.begin_epoch(MANY)
    return network


def _reads(case: Case, make_rule: MakeRule, block: str) -> bool:
    """Whether the signal at `block` depends on the weights downstream of it.

    Two networks take the same steps. They have the same activations, but different weights downstream of `block`. The
    feedback is copied from one to the other before the backward, because a rule may learn its feedback from forward
    passes.
    """
    kept, moved = case.attached(make_rule), case.attached(make_rule)
    recording = Recording(kept)
    replay = Replay(moved, recording)
    steps = steps_of(make_rule())
    kept.begin_epoch(steps)
    moved.begin_epoch(steps)
    for index in range(steps):
        with case.informed(kept, index), case.informed(moved, index):
            expected = case.logits(kept.model, index)
            if index == 0:
                redraw(moved, _downstream(recording, block, unembedding=kept.output_shape[-1] != expected.shape[-1]))
            logits = case.logits(moved.model, index)
            copy_feedback(kept, moved)
            case.loss(expected, index).backward()
            case.loss(logits, index).backward()
        if difference(replay.signals.pop(block, None), recording.signals.pop(block, None)) > ROUNDING:
            return True
    return False


def _downstream(recording: Recording, block: str, unembedding: bool) -> list[str]:
    """The linear maps from `block` to the point where the error is read, which is before an `unembedding`."""
    maps = recording.downstream(block)
    return maps[:-1] if unembedding else maps

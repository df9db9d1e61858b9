"""The small models on which a rule is checked, and training steps on them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grape_bench.attachment import attach, attached
from grape_bench.network.network import Network
from grape_bench.network.rule import LearningRule
from grape_bench.network.trace import as_batch, scored_output

MakeRule = Callable[[], LearningRule]
"""Makes a new rule that no network has used."""

Gradients = dict[str, Tensor | None]
"""Name of a parameter -> its `.grad`."""

SAMPLES, CLASSES, TOKENS, VOCABULARY = 12, 5, 6, 40
SERIES = (2, 6)  # channels, steps
LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Case:
    """A kind of model. `shape` is the shape of a sample. Without `shape`, the model is a decoder with a loss per token.

    The samples of a `graph` are the nodes of a ring.
    """

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...] = ()
    graph: bool = False

    def model(self) -> nn.Module:
        """Make the model in training mode, with the same weights every time."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.make().train()

    def inputs(self, index: int) -> Any:
        """Make batch number `index`, in the form that `attach` accepts as an example."""
        generator = torch.Generator().manual_seed(index)
        if not self.shape:
            return {"input_ids": torch.randint(VOCABULARY, (SAMPLES, TOKENS), generator=generator)}
        drawn = torch.randn(SAMPLES, *self.shape, generator=generator)
        return (drawn, _ring()) if self.graph else drawn

    def logits(self, model: nn.Module, index: int) -> Tensor:
        """Run `model` on batch number `index`. Returns (N, classes), or (N, tokens, vocabulary)."""
        args, kwargs = as_batch(self.inputs(index))
        return _scores(model(*args, **kwargs))

    def target(self, index: int) -> Tensor:
        """The labels of batch number `index`, or the tokens of a decoder."""
        inputs = self.inputs(index)
        return torch.arange(SAMPLES) % CLASSES if self.shape else inputs["input_ids"]

    def loss(self, logits: Tensor, index: int) -> Tensor:
        """Return the cross-entropy on batch number `index`. A decoder predicts each next token."""
        target = self.target(index).to(logits.device)
        if not self.shape:
            return F.cross_entropy(logits[:, :-1].flatten(0, 1), target[:, 1:].flatten())
        return F.cross_entropy(logits, target)

    def loss_of(self, output: Any, index: int) -> Tensor:
        """The loss on batch number `index`, given the model's output."""
        return self.loss(_scores(output), index)

    def attached(self, make_rule: MakeRule, seed: int = 0) -> Network:
        """Attach a new rule to a new model, with a training length that makes the rule do everything it ever does."""
        network = attach(self.model(), make_rule(), self.inputs(0), seed=seed)
        network.planned_steps = steps_of(network.rule)
        return network

    def gradients(self, model: nn.Module, index: int) -> Gradients:
        """Run one forward and backward on batch number `index`. The weights do not change."""
        network = attached(model)
        owned = dict(network.owned.named_parameters()) if network else {}
        parameters = {**dict(model.named_parameters()), **owned}
        for parameter in parameters.values():
            parameter.grad = None
        with self.informed(network, index) if network else nullcontext():
            self.loss(self.logits(model, index), index).backward()
        return {name: parameter.grad for name, parameter in parameters.items()}

    def informed(self, network: Network, index: int) -> AbstractContextManager[None]:
        """Give the rule the loss and the target of batch number `index`."""
        return network.informed(lambda output: self.loss_of(output, index), self.target(index))

    def train(self, network: Network, steps: int) -> list[Gradients]:
        """Train for one epoch of `steps` steps. Returns the gradients of each step."""
        network.begin_epoch(steps)
        return [self.step(network.model, index) for index in range(steps)]

    def step(self, model: nn.Module, index: int) -> Gradients:
        """Take a gradient-descent step on batch number `index`. Returns its gradients."""
        gradients = self.gradients(model, index)
        with torch.no_grad():
            network = attached(model)
            for parameter in network.parameters() if network else model.parameters():
                if parameter.grad is not None:
                    parameter.sub_(LEARNING_RATE * parameter.grad)
        return gradients


def _scores(output: Any) -> Tensor:
    scores = scored_output(output)
    assert scores is not None, "these models return logits"
    return scores


def steps_of(rule: LearningRule) -> int:
    """The number of steps that shows everything a rule does: whole periods, and at least four steps."""
    return rule.period * -(-4 // rule.period)


def _mlp() -> nn.Module:
    from grape_bench.models.mlp import MLP

    return MLP((8,), CLASSES, hidden=(12, 12, 12))


def _cnn() -> nn.Module:
    from grape_bench.models.cnn import CNN

    return CNN((3, 8, 8), CLASSES, channels=(6, 6, 6))


def _vit() -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", num_classes=CLASSES, img_size=16, patch_size=4, depth=3, embed_dim=24, num_heads=2
    )
    return model


def _decoder() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = dict(hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, use_cache=False)
    config = LlamaConfig(**sizes, vocab_size=VOCABULARY, max_position_embeddings=TOKENS)
    model: nn.Module = LlamaForCausalLM(config)
    return model


def _rnn() -> nn.Module:
    from grape_bench.models.inputs import Inputs
    from grape_bench.models.rnn import rnn

    return rnn(SERIES, CLASSES, Inputs.of_shape(SERIES), hidden=(12, 12))


def _lstm() -> nn.Module:
    from grape_bench.models.inputs import Inputs
    from grape_bench.models.lstm import lstm

    return lstm(SERIES, CLASSES, Inputs.of_shape(SERIES), hidden=(12, 12))


class _GraphLayer(nn.Module):
    """A linear map of each node and its neighbors, and tanh. Written out, because PyTorch Geometric is optional."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return torch.tanh(self.linear(x.index_add(0, edges[1], x[edges[0]])))


class _GraphNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_GraphLayer(n_in, 12) for n_in in (8, 12))
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, edges)
        scores: Tensor = self.head(x)
        return scores


def _ring() -> Tensor:
    here = torch.arange(SAMPLES)
    return torch.stack([here, (here + 1) % SAMPLES])


def _energy() -> nn.Module:
    from grape_bench.models.layered_energy import LayeredEnergy

    return LayeredEnergy((8,), CLASSES, hidden=(12, 12, 12))


CASES = (
    Case("mlp", _mlp, (8,)),
    Case("cnn", _cnn, (3, 8, 8)),
    Case("vit", _vit, (3, 16, 16)),
    Case("decoder", _decoder),
)
"""The models on which every rule is checked."""

FURTHER_CASES = (
    Case("rnn", _rnn, SERIES),
    Case("lstm", _lstm, SERIES),
    Case("graph", _GraphNetwork, (8,), graph=True),
    Case("energy", _energy, (8,)),
)
"""More models, for a rule that applies to none of the others."""

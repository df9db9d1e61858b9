"""Networks with known answers, and one reading of them under a rule and under backpropagation."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

import grape_bench as gb
from grape_bench.diagnose.reading import Values, apart, read, rule_pass
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.rules.feedback import FEEDBACK


def linear_network(*sizes: int) -> nn.Sequential:
    """Matrices in a row: the Jacobian of every block is the product of those after it."""
    return nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairwise(sizes)))


def jacobians(model: nn.Sequential) -> dict[str, torch.Tensor]:
    """Of the output by the output of each layer but the last."""
    found, product = {}, torch.eye(model[-1].out_features)
    for index in range(len(model) - 1, 0, -1):
        product = product @ model[index].weight.detach()
        found[str(index - 1)] = product
    return found


def noisy_network() -> nn.Sequential:
    """With BatchNorm and dropout: a rule is compared fairly only under one mask and one set of statistics."""
    layers = [(nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.5)) for _ in range(1)]
    layers += [(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.5)) for _ in range(2)]
    return nn.Sequential(*(nn.Sequential(*layer) for layer in layers), nn.Linear(12, 5))


class Loop(nn.Module):
    """A cell in a loop over the steps of (N, steps, inputs), with an output per step."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.cell, self.head = nn.RNNCell(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, outputs = x.new_zeros(len(x), self.cell.hidden_size), []
        for step in x.unbind(1):
            h = self.cell(step, h)
            outputs.append(self.head(h))
        return torch.stack(outputs, 1)


def attached(model: nn.Module, rule: str | gb.LearningRule = "dfa", **options) -> Network:
    width = next(module for module in model.modules() if isinstance(module, nn.Linear)).in_features
    net = gb.attach(model.train(), rule, torch.randn(4, width), **options)
    net.begin_epoch(1000)
    return net


def set_feedback(net: Network, matrices: dict[str, torch.Tensor]) -> None:
    for block in net.blocks:
        block.load(FEEDBACK).copy_(matrices[block.name])


def loss_of(output, labels):
    return F.cross_entropy(output, labels)


def measured(net: Network, make_metric, batches: int = 1, samples: int = 16) -> Values:
    """What a metric says of `batches` random batches; `make_metric(net, rule)`."""
    return measured_on(_random(net, batches, samples), net, make_metric)


Loss = Callable[[torch.Tensor], torch.Tensor]


def measured_on(examples: Iterable[tuple[torch.Tensor, Loss]], net: Network, make_metric) -> Values:
    """What a metric says of pairs of an input and a loss."""
    with apart(net) as rule:
        metric = make_metric(net, rule)
        for x, loss in examples:
            true = read(net, Pass(), ((x,), {}), loss)
            own = read(net, rule_pass(net, rule, ((x,), {})), ((x,), {}), loss)
            metric.see(((x,), {}), own, true)
        return metric.values()


def _random(net: Network, batches: int, samples: int) -> Iterator[tuple[torch.Tensor, Loss]]:
    generator = torch.Generator().manual_seed(1)
    width = next(module for module in net.model.modules() if isinstance(module, nn.Linear)).in_features
    for _ in range(batches):
        x = torch.randn(samples, width, generator=generator)
        with torch.no_grad():
            classes = net.model(x).shape[-1]
        yield x, partial(loss_of, labels=torch.arange(samples) % classes)

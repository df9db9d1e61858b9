"""The accuracy of a linear classifier on each block's output: how useful the features are."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from grape_bench.diagnose.reading import Values, Watched
from grape_bench.network.modes import evaluation
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass

FEATURES = 512
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


@torch.no_grad()
def linear_probe(network: Network, batches: list[tuple[Tensor, Tensor]]) -> Values:
    """`probe_accuracy` (percent) by block: ridge regression on one half of the samples, scored on the other.

    Runs in evaluation mode. Outputs with more than `FEATURES` numbers are averaged over positions. The penalty is
    chosen by the leave-one-out error on the first half. NaN if an output is not finite.
    """
    with evaluation(network.model):
        outputs = [_block_outputs(network, inputs) for inputs, _ in batches]
    labels = torch.cat([labels for _, labels in batches])
    return {
        block.name: {"probe_accuracy": _accuracy(torch.cat([output[block.name] for output in outputs]), labels)}
        for block in network.blocks
    }


def _block_outputs(network: Network, inputs: Any) -> dict[str, Tensor]:
    watched = Watched(network, Pass())
    network.run(watched, ((inputs,), {}))
    return {name: pooled(output) for name, output in watched.outputs.items()}


def pooled(output: Tensor) -> Tensor:
    """(N, *shape) -> (N, at most FEATURES unless there are more channels): means over runs of positions."""
    if output.dim() < 3:
        return output.float()
    maps = output.dim() > 3 and output.shape[2] == output.shape[3]  # (N, C, H, W); else channels are last
    flat = (output if maps else output.movedim(-1, 1)).flatten(2).float()
    if flat[0].numel() <= FEATURES:
        return flat.flatten(1)
    return F.adaptive_avg_pool1d(flat, max(1, FEATURES // flat.shape[1])).flatten(1)


def _accuracy(features: Tensor, labels: Tensor) -> float:
    """Percent of the second half that a ridge regression on the first half gets right."""
    if not features.isfinite().all():
        return float("nan")
    half = len(features) // 2
    fit = features[:half].double()
    mean, std = fit.mean(0), fit.std(0)
    scaled = (features.double() - mean) / std.where(std > 0, 1)
    kernel = scaled[:half] @ scaled[:half].T / scaled.shape[1]
    targets = F.one_hot(labels[:half], int(labels.max()) + 1).double()
    offset = targets.mean(0)
    values, vectors = torch.linalg.eigh(kernel)
    rotated = vectors.T @ (targets - offset)
    weights = min((_ridge(values, vectors, rotated, penalty) for penalty in PENALTIES), key=lambda pair: pair[0])[1]
    scores = scaled[half:] @ scaled[:half].T @ weights / scaled.shape[1] + offset
    return 100 * (scores.argmax(1) == labels[half:]).double().mean().item()


def _ridge(values: Tensor, vectors: Tensor, rotated: Tensor, penalty: float) -> tuple[float, Tensor]:
    """The leave-one-out error of kernel ridge regression and its dual weights (Rifkin and Lippert 2007)."""
    inverse = 1 / (values.clamp(min=0) + penalty)
    weights = vectors @ (inverse[:, None] * rotated)
    diagonal = (vectors.square() * inverse).sum(1, keepdim=True)
    return (weights / diagonal).square().mean().item(), weights

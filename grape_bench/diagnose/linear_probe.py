"""A linear model on each block's output, to measure how useful the features are for the task."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from grape_bench.diagnose.reading import Values, Watched
from grape_bench.network.axes import moved
from grape_bench.network.modes import evaluation
from grape_bench.network.network import Network
from grape_bench.network.passes import Pass
from grape_bench.network.trace import Batch
from grape_bench.objectives.target import IGNORED

FEATURES, ROWS = 512, 512
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


@torch.no_grad()
def linear_probe(network: Network, examples: list[tuple[Batch, Tensor]]) -> Values:
    """`probe_accuracy` (percent) or `probe_r2` by block: ridge regression on one half of the rows, scored on the other.

    A row is a sample, or a position if every position has its own target. At most `ROWS` positions of a batch are used.
    Runs in evaluation mode. Outputs with more than `FEATURES` numbers per row are averaged over positions. The penalty
    is chosen by the leave-one-out error on the first half. NaN if an output is not finite.
    """
    with evaluation(network.model):
        outputs = [_block_outputs(network, batch) for batch, _ in examples]
    targets = [target for _, target in examples]
    classes = not targets[0].is_floating_point()
    found: Values = {}
    for block in network.blocks:
        last = [moved(output[block.name], block.channel_axis + 1, len(block.shape)) for output in outputs]
        rows = [_rows(output, target, classes) for output, target in zip(last, targets, strict=True)]
        features, wanted = (torch.cat(parts) for parts in zip(*rows, strict=True))
        found[block.name] = (
            {"probe_accuracy": _accuracy(features, wanted)} if classes else {"probe_r2": _r2(features, wanted)}
        )
    return found


def _block_outputs(network: Network, batch: Batch) -> dict[str, Tensor]:
    watched = Watched(network, Pass())
    network.run(watched, batch)
    return watched.outputs


def _rows(output: Tensor, target: Tensor, classes: bool) -> tuple[Tensor, Tensor]:
    """Features (rows, n) of an output (N, positions..., C) and their targets (rows, ...), without ignored targets."""
    # Classification of images: output (N, H, W, C), target (N,) -> rows are samples, (N, pooled).
    # Next token: output (N, T, C), target (N, T) -> rows are positions, (N T, C) and (N T,).
    # Segmentation: output (N, H, W, C), target (N, H, W) -> rows are pixels, (N H W, C) and (N H W,).
    places = target.dim() if classes else target.dim() - 1
    positions = places > 1 and output.dim() > places and output.shape[:places] == target.shape[:places]
    if positions:
        output, target = output.flatten(0, places - 1), target.flatten(0, places - 1)
    if len(output) != len(target) or (classes and target.dim() > 1):
        return output.new_full((len(target), 1), float("nan")), target
    if classes:
        output, target = output[target != IGNORED], target[target != IGNORED]
    step = -(-len(target) // ROWS) if positions and len(target) else 1
    return pooled(output[::step]), target[::step]


def pooled(output: Tensor) -> Tensor:
    """(N, positions..., C) -> (N, at most FEATURES unless C is larger): means over runs of positions."""
    if output.dim() < 3:
        return output.float()
    flat = output.movedim(-1, 1).flatten(2).float()
    if flat[0].numel() <= FEATURES:
        return flat.flatten(1)
    return F.adaptive_avg_pool1d(flat, max(1, FEATURES // flat.shape[1])).flatten(1)


def _accuracy(features: Tensor, labels: Tensor) -> float:
    """The percentage of the second half that a ridge regression on the first half predicts correctly."""
    if not features.isfinite().all():
        return float("nan")
    half = len(features) // 2
    names, labels = labels.unique(return_inverse=True)
    scores = _predicted(features, F.one_hot(labels[:half], len(names)).double())
    return 100 * (scores.argmax(1) == labels[half:]).double().mean().item()


def _r2(features: Tensor, values: Tensor) -> float:
    """R² on the second half of a ridge regression on the first half."""
    if not features.isfinite().all():
        return float("nan")
    half = len(features) // 2
    values = values.flatten(1).double()
    rest = values[half:]
    errors = (_predicted(features, values[:half]) - rest).square().sum()
    return (1 - errors / (rest - rest.mean(0)).square().sum()).item()


def _predicted(features: Tensor, targets: Tensor) -> Tensor:
    """Fit ridge regression on the first rows, which have `targets`, and predict the targets of the later rows."""
    half = len(targets)
    fit = features[:half].double()
    mean, std = fit.mean(0), fit.std(0)
    scaled = (features.double() - mean) / std.where(std > 0, 1)
    kernel = scaled[:half] @ scaled[:half].T / scaled.shape[1]
    offset = targets.mean(0)
    values, vectors = torch.linalg.eigh(kernel)
    rotated = vectors.T @ (targets - offset)
    weights = min((_ridge(values, vectors, rotated, penalty) for penalty in PENALTIES), key=lambda pair: pair[0])[1]
    return scaled[half:] @ scaled[:half].T @ weights / scaled.shape[1] + offset


def _ridge(values: Tensor, vectors: Tensor, rotated: Tensor, penalty: float) -> tuple[float, Tensor]:
    """The leave-one-out error of kernel ridge regression and its dual weights (Rifkin and Lippert 2007)."""
    inverse = 1 / (values.clamp(min=0) + penalty)
    weights = vectors @ (inverse[:, None] * rotated)
    diagonal = (vectors.square() * inverse).sum(1, keepdim=True)
    return (weights / diagonal).square().mean().item(), weights

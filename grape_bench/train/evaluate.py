"""Loss and accuracy of a classifier on a split."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grape_bench.data.dataset import Split
from grape_bench.network.trace import logits_of
from grape_bench.train import data_parallel


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats and accuracy in percent."""

    loss: float
    accuracy: float


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, classes: int, batch_size: int) -> Score:
    """Score `model` on all of `split`, divided among the processes. Runs in evaluation mode and restores the mode."""
    training = model.training
    model.eval()
    data_parallel.share_statistics(model)
    loss: Tensor | float = 0.0  # summed on the device, so that no batch waits for the previous one
    correct: Tensor | float = 0.0
    for inputs, labels in split.batches(batch_size):
        logits = logits_of(model(inputs), classes).float()
        loss = loss + F.cross_entropy(logits, labels, reduction="sum").double()
        correct = correct + (logits.argmax(1) == labels).sum()
    model.train(training)
    sums = data_parallel.total([float(loss), float(correct)], next(model.parameters()).device)
    return Score(sums[0] / len(split), 100 * sums[1] / len(split))
